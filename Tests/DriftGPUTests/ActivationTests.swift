import Foundation
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct ActivationTests {
    /// Values and derivatives where the approximations change over, and far out.
    @Test(arguments: TestDevice.shapes) func extremes(_ shape: TeamShape) throws {
        let edges: [Float] = [3.7, 5.2, 5.23, 5.24, 5.59, 5.6, 5.61, 10, 50, 88, 89, 104, 105, 1e4, 1e30]
        let points: [Float] = [0, -0.0, Float.leastNonzeroMagnitude, 1e-7] + edges + edges.map { -$0 }
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (x, seed) = (try graph.input("x", [points.count]), try graph.fill([points.count], with: 1))
            let values = [try graph.gelu(x), try graph.silu(x)]
            let slopes = try values.map { try graph.gradients(of: [($0, seed)], withRespectTo: [x])[0] }
            values.forEach(graph.output)
            slopes.compactMap { $0 }.forEach(graph.output)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write(points, to: x)
            try executor.run()
            func compare(_ got: Tensor?, _ want: (Double) -> Double, _ tolerance: Double) throws {
                let got = try executor.read(#require(got))
                for (value, point) in zip(got, points) {
                    let expected = want(Double(point))
                    #expect(abs(Double(value) - expected) <= tolerance * max(1, abs(expected)), "at \(point), \(shape)")
                }
            }
            try compare(values[0], ActivationCases.gelu, 2e-6)
            try compare(values[1], ActivationCases.silu, 2e-6)
            try compare(slopes[0], { x in
                (1 + erf(x / 2.0.squareRoot())) / 2 + (abs(x) > 40 ? 0 : x * exp(-x * x / 2) / (2 * Double.pi).squareRoot())
            }, 1e-6)
            try compare(slopes[1], { x in
                let s = 1 / (1 + exp(-x))
                return s + x * s * (1 - s)
            }, 2e-6)
        }
    }
}
