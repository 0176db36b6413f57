import DriftGPU
import Foundation

/// KL divergences from the standard normal, log-variances beyond their clamp among them.
enum GaussianDivergenceCases: OperationCases {
    static let families = [OperationFamily("gaussian_divergence", all)]

    /// Every case.
    static let all: [OperationCase] = [(1, 1, 1.0), (2, 5, 2), (3, 64, 1), (2, 1037, 0.5), (2, 19, 12)].map { batch, count, deviation in
        OperationCase(
            name: "\(batch) x \(count), deviation \(deviation)",
            inputs: [.init(shape: [batch, 2, count], values: .normal(deviation))],
            build: { graph, x in [try graph.gaussianDivergence(x[0])] },
            reference: { x in
                [
                    (0..<batch).map { image in
                        (0..<count).reduce(0.0) { sum, index in
                            let mean = x[0][image * 2 * count + index]
                            let logVariance = min(max(x[0][image * 2 * count + count + index], -30), 20)
                            return sum + (mean * mean + exp(logVariance) - 1 - logVariance) / 2
                        }
                    }
                ]
            })
    }
}
