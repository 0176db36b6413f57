import DriftGPU
import Foundation

/// GELU, SiLU and ReLU, and their slopes.
enum ActivationCases: OperationCases {
    static let families = [OperationFamily("activation", all)]

    static func gelu(_ x: Double) -> Double { x * (1 + erf(x / 2.0.squareRoot())) / 2 }

    static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }

    /// Every case.
    static let all = [1, 15, 50, 1037].flatMap { count in
        [
            OperationCase(
                name: "gelu \(count)", inputs: [.init(shape: [count], values: .normal(3))],
                build: { graph, x in [try graph.gelu(x[0])] }, reference: { x in [x[0].map(gelu)] }),
            OperationCase(
                name: "silu \(count)", inputs: [.init(shape: [count], values: .normal(3))],
                build: { graph, x in [try graph.silu(x[0])] }, reference: { x in [x[0].map(silu)] }),
            OperationCase(
                name: "relu \(count)", inputs: [.init(shape: [count], values: .normal(3))],
                build: { graph, x in [try graph.relu(x[0])] }, reference: { x in [x[0].map { max($0, 0) }] }),
        ]
    }
}
