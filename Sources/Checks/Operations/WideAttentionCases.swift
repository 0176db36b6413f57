import DriftGPU
import Foundation

/// Attention of one wide head.
enum WideAttentionCases: OperationCases {
    static let families = [OperationFamily("attention_wide", all)]

    /// Every case; the last has more queries than a block of the CPU shape.
    static let all: [OperationCase] = [(1, 3, 4, 130), (2, 5, 7, 144), (1, 50, 700, 129)].map {
        batch, queries, keys, width in
        OperationCase(
            name: "\(batch) x \(queries) x \(keys) x \(width)",
            inputs: [[batch, queries, width], [batch, keys, width], [batch, keys, width]].map {
                .init(shape: $0, isDifferentiable: false)
            },
            build: { graph, x in [try graph.singleHeadAttention(query: x[0], key: x[1], value: x[2])] },
            reference: { x in
                var y = [Double](repeating: 0, count: x[0].count)
                for row in 0..<(batch * queries) {
                    let first = row / queries * keys
                    let scores = (0..<keys).map { key in
                        (0..<width).reduce(0) { $0 + x[0][row * width + $1] * x[1][(first + key) * width + $1] }
                            / Double(width).squareRoot()
                    }
                    let top = scores.max() ?? 0
                    let weights = scores.map { exp($0 - top) }
                    let sum = weights.reduce(0, +)
                    for key in 0..<keys {
                        for c in 0..<width {
                            y[row * width + c] += weights[key] / sum * x[2][(first + key) * width + c]
                        }
                    }
                }
                return [y]
            })
    }
}
