import Checks
import TestSupport
import Testing

@testable import DriftGPU

/// Checks that leave something out say so, and those that compare can fail.
@Suite struct OperationCheckTests {
    private func sum(_ count: Int, off error: Double = 0) -> OperationCase {
        OperationCase(
            name: "sum of \(count)", inputs: [.init(shape: [count]), .init(shape: [count])],
            build: { graph, x in [try graph.add(x[0], x[1])] },
            reference: { x in [zip(x[0], x[1]).map { $0.0 + $0.1 + error }] })
    }

    @Test func largeCasesAreCountedAsSkipped() throws {
        try TestDevice.with(TestDevice.shapes[0]) { device in
            let small = try sum(2048).check(on: device, depth: .values)
            #expect(small.skipped == 0 && small.comparisons == 1 && small.failures.isEmpty)
            let large = try sum(2049).check(on: device, depth: .values)
            #expect(large.skipped == 1 && large.comparisons == 0 && large.failures.isEmpty)
            var all = small
            all.add(large)
            #expect(all.skipped == 1 && all.comparisons == 1)
            let full = try sum(2049).check(on: device)
            #expect(full.skipped == 0 && full.comparisons == 3 && full.failures.isEmpty)
        }
    }

    @Test(arguments: [CheckDepth.values, .full]) func wrongValuesFail(_ depth: CheckDepth) throws {
        try TestDevice.with(TestDevice.shapes[0]) { device in
            let report = try sum(7, off: 0.01).check(on: device, depth: depth)
            #expect(report.failures.count == 1)
        }
    }
}
