import DriftGPU
import Foundation

/// The gated activation of two halves, and of two tensors.
enum SwiGLUCases: OperationCases {
    static let families = [OperationFamily("swiglu", all)]

    /// Every case.
    static let all: [OperationCase] = halves + [[3, 1], [5, 17], [2, 3, 64], [1, 1035]].map { shape in
        OperationCase(
            name: "swiglu of two \(shape)", inputs: [.init(shape: shape), .init(shape: shape)],
            build: { graph, x in [try graph.swiglu(x[0], x[1])] },
            reference: { x in [zip(x[0], x[1]).map { $0 / (1 + exp(-$0)) * $1 }] })
    }

    private static let halves: [OperationCase] = [[3, 2], [5, 34], [2, 3, 128], [1, 2070]].map { shape in
        OperationCase(
            name: "swiglu \(shape)", inputs: [.init(shape: shape)],
            build: { graph, x in [try graph.swiglu(x[0])] },
            reference: { x in
                let width = shape.last ?? 2
                return [
                    stride(from: 0, to: x[0].count, by: width).flatMap { start in
                        (0..<(width / 2)).map { i in
                            let a = x[0][start + i]
                            return a / (1 + exp(-a)) * x[0][start + width / 2 + i]
                        }
                    }
                ]
            })
    }
}
