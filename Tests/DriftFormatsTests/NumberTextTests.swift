import Testing

@testable import DriftFormats

@Suite struct NumberTextTests {
    @Test(arguments: [
        (9.996e-5, "1.00e-4"), (9.994e-5, "9.99e-5"), (-9.996e-5, "-1.00e-4"), (9.999e6, "1.00e7"), (1.5e6, "1.50e6"), (0, "0"), (0.5, "0.500"),
        (12.34, "12.34"), (1234.6, "1235"),
    ])
    func short(_ value: Double, _ text: String) { #expect(NumberText.short(value) == text) }

    @Test func percent() {
        #expect(NumberText.percent(0.5) == "50" && NumberText.percent(0.051) == "5.1" && NumberText.percent(0.0051) == "0.51")
    }
}
