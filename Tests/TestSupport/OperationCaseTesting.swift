import Checks
import DriftGPU
import Testing

extension OperationCase: CustomTestStringConvertible {
    public var testDescription: String { name }

    /// Checks the case in a team shape, its matrix products by `gemm`, and records an issue for every disagreement.
    public func check(
        _ shape: TeamShape, gemm: String = "native", precision: Precision = .fp32,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let report = try TestDevice.with(shape, gemm: gemm, precision: precision) { device in
            try check(on: device, depth: TestDevice.isSmall ? .values : .full)
        }
        if report.skipped > 0 {
            print("skipped: \(name), \(shape): too large for DRIFTGPU_TEST_SMALL")
        } else if report.comparisons == 0 {
            Issue.record("\(name), \(shape): nothing was compared", sourceLocation: sourceLocation)
        }
        for failure in report.failures { Issue.record("\(name), \(shape): \(failure)", sourceLocation: sourceLocation) }
    }
}
