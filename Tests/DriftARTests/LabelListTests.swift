import Testing

@testable import DriftAR

@Suite struct LabelListTests {
    @Test func parse() throws {
        #expect(try LabelList.parse(nil, classes: 3) == [0, 1, 2])
        #expect(try LabelList.parse("0-2,7", classes: 10) == [0, 1, 2, 7])
        #expect(try LabelList.parse("9", classes: 10) == [9])
        #expect(try LabelList.parse("4-4,1", classes: 10) == [4, 1])
    }

    @Test(arguments: ["", ",", "1,", "a", "-1", "1-", "3-1", "1-2-3", "1.5", "0-99999999999999999999", "nan", " 1"])
    func wrong(_ text: String) throws {
        #expect(errorText { _ = try LabelList.parse(text, classes: 10) }?.hasPrefix("labels \(text):") == true)
    }

    @Test(arguments: ["10", "5-10", "0-9223372036854775807"])
    func beyond(_ text: String) throws {
        #expect(errorText { _ = try LabelList.parse(text, classes: 10) }?.contains("0 to 9") == true)
    }
}
