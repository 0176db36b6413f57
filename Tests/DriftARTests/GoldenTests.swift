import Checks
import TestSupport
import Testing

/// The model and its parts against outputs of the PyTorch reference.
@Suite struct GoldenTests {
    /// A case and how the product computes what it expects.
    struct Comparison: Sendable, CustomTestStringConvertible {
        let family: GoldenFamily
        let golden: GoldenCase
        var testDescription: String { "\(family.name): \(golden.id)" }
    }

    /// None when the set cannot be read, of which `GoldenSetTests` tells.
    static let comparisons: [Comparison] = {
        guard let set = try? GoldenSet.current.get() else { return [] }
        return GoldenFamily.all.flatMap { family in
            family.cases(of: set).filter { isTried($0, in: family) }.map { Comparison(family: family, golden: $0) }
        }
    }()

    /// Token heads and what draws with them take minutes of compiling on other drivers: there one of two sizes stands for both.
    private static func isTried(_ golden: GoldenCase, in family: GoldenFamily) -> Bool {
        TestDevice.choice == "cpu" || !["mar", "mar_head", "mar_sample", "energy", "causal", "transdiff"].contains(family.name) || golden.id.contains("/odd")
    }

    @Test(arguments: comparisons, TestDevice.teams)
    func agreesWithReference(_ comparison: Comparison, _ shape: TeamShape) throws {
        let report = try TestDevice.with(shape) { try comparison.family.check(comparison.golden, on: $0) }
        for failure in report.failures { Issue.record("\(comparison.golden.id), \(shape): \(failure)") }
    }
}
