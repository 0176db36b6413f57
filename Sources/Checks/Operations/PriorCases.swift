import DriftGPU
import Foundation

/// The prior whose variance follows the entropy.
enum PriorCases: OperationCases {
    static let families = [OperationFamily("prior", all, untimed: "sigma alone: every model takes it within prior")]

    static let maps = [SigmaMap(), SigmaMap(maximum: 0.3, tau: 0.5), SigmaMap(maximum: 1, tau: 5, entropyMaximum: 2), SigmaMap(maximum: 1, tau: 0.01)]

    static func sigma(_ e: Double, _ map: SigmaMap) -> Double {
        let top = Double(map.entropyMaximum)
        let tau = Double(map.tau)
        return Double(map.maximum) * expm1(min(max(e, 0), top) / tau) / expm1(top / tau)
    }

    /// Every case.
    static let all: [OperationCase] = maps.map(sigmaCase) + [
        make(3, 2, 5, 4, maps[0]), make(2, 1, 7, 16, maps[1]), make(1, 5, 3, 50, maps[2]), make(4, 3, 16, 1, maps[0]),
    ]

    static func sigmaCase(_ map: SigmaMap) -> OperationCase {
        OperationCase(
            name: "sigma \(map.tau)", inputs: [.init(shape: [61], values: .uniform(-0.25, 2.25))],
            build: { graph, x in [try graph.sigma(x[0], map)] }, reference: { x in [x[0].map { sigma($0, map) }] })
    }

    static func make(_ labels: Int, _ group: Int, _ positions: Int, _ channels: Int, _ map: SigmaMap) -> OperationCase {
        OperationCase(
            name: "prior \(labels) x \(group) x \(positions) x \(channels)",
            inputs: [
                .init(shape: [labels, positions, channels]),
                .init(shape: [labels, positions], values: .uniform(-0.2, 1.2)),
                .init(shape: [labels * group, positions, channels], isDifferentiable: false),
            ],
            build: { graph, x in [try graph.prior(token: x[0], entropy: x[1], noise: x[2], map)] },
            reference: { x in
                var y = x[2]
                for index in y.indices {
                    // Index of the same element in the label's token.
                    let token = index / (positions * channels) / group * positions * channels + index % (positions * channels)
                    y[index] = x[0][token] + sigma(x[1][token / channels], map) * x[2][index]
                }
                return [y]
            })
    }
}
