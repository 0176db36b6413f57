import DriftGPU
import Foundation

/// Draws from an autoencoder's posterior, log-variances beyond their clamp among them.
enum PosteriorCases: OperationCases {
    static let families = [OperationFamily("posterior", all)]

    /// Every case.
    static let all: [OperationCase] = [(1, 1, 12.0, 1.0), (2, 5, 12, 0.2325), (3, 64, 12, 1), (2, 1037, 2, 0.5)].map {
        batch, count, deviation, factor in
        OperationCase(
            name: "\(batch) x \(count), deviation \(deviation)",
            inputs: [
                .init(shape: [batch, 2, count], values: .normal(deviation)),
                .init(shape: [batch, count], isDifferentiable: false),
            ],
            build: { graph, x in [try graph.posterior(moments: x[0], eps: x[1], factor: Float(factor))] },
            reference: { x in
                [
                    (0..<(batch * count)).map { index in
                        let at = index / count * 2 * count + index % count
                        let logVariance = min(max(x[0][at + count], -30), 20)
                        return Double(Float(factor)) * (x[0][at] + exp(logVariance / 2) * x[1][index])
                    }
                ]
            })
    }
}
