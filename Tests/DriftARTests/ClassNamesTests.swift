import Testing

@testable import DriftAR
@testable import DriftData

@Suite struct ClassNamesTests {
    @Test func lines() {
        #expect(ClassNames.line(["0", "1", "2"]) == nil && ClassNames.line([]) == nil)
        #expect(ClassNames.line(["1", "10", "2"]) == "classes: 0 = 1, 1 = 10, 2 = 2")
        #expect(ClassNames.line(["a", "b\u{1B}", "c"], of: [2, 1, 7]) == "classes: 2 = c, 1 = b?")
        #expect(ClassNames.line((0..<100).map { "n\($0)" }) == "100 classes: 0 = n0, 1 = n1, 2 = n2, 3 = n3, 4 = n4 ... 99 = n99")
    }

    @Test func areKeptInTheSettings() throws {
        var configuration = Configuration()
        configuration.data.classNames = ["b", "ä, ö", "\""]
        #expect(try Configuration().merging(json: configuration.json(), from: "x") == configuration)
    }
}
