import Testing
@testable import DriftData

@Suite struct OptDigitsTests {
    @Test func data() throws {
        let digits = try OptDigits.all()
        #expect(digits.shape == [1797, 1, 8, 8])
        #expect(digits.members.map(\.count) == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        #expect(digits.images.min() == -1)
        #expect(digits.images.max() == 1)
        #expect(Array(digits.images[..<8]) == [-1, -1, -0.375, 0.625, 0.125, -0.875, -1, -1])
        #expect(Array(digits.labels[..<3]) == [0, 1, 2])
    }

    @Test func split() throws {
        let (training, heldOut) = try OptDigits.split()
        #expect(training.count == 1442)
        #expect(heldOut.count == 355)
        #expect(heldOut.members.allSatisfy { (34...36).contains($0.count) })
    }

    @Test func attribution() {
        #expect(OptDigits.attribution.contains("E. Alpaydin, C. Kaynak"))
        #expect(OptDigits.attribution.contains("CC BY 4.0"))
    }
}
