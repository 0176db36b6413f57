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

    /// A product of two matrices, which tensor cores take, times `factor`.
    private func product(off factor: Double = 1) -> OperationCase {
        OperationCase(
            name: "product", inputs: [.init(shape: [33, 40]), .init(shape: [40, 24])],
            build: { graph, x in [try graph.matrixMultiply(x[0], x[1])] },
            reference: { x in
                var result = [Double](repeating: 0, count: 33 * 24)
                for place in result.indices {
                    let (row, column) = (place / 24, place % 24)
                    for k in 0..<40 { result[place] += factor * x[0][row * 40 + k] * x[1][k * 24 + column] }
                }
                return [result]
            })
    }

    /// Rounded inputs are allowed what they make, in products alone; an error a little larger than that fails.
    @Test(.enabled(if: TestDevice.shapes.contains(.gpu)), arguments: [Precision.tf32, .bf16])
    func roundedProductsAreAllowedTheirRounding(_ precision: Precision) throws {
        let unit = 1 / Double(1 << precision.significantBits)
        try TestDevice.with(.gpu, precision: precision) { device in
            let (right, wrong) = try (product().check(on: device), product(off: 1 + 6 * unit).check(on: device))
            #expect(right.failures == [] && !wrong.failures.isEmpty)
            let sum = try sum(7, off: unit).check(on: device)
            #expect(sum.failures.count == 1)
        }
        // In single precision nothing more is allowed than before.
        let single = try TestDevice.with(.gpu) { try product(off: 1 + unit).check(on: $0) }
        #expect(!single.failures.isEmpty)
    }
}
