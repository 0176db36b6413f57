import DriftGPU
import Foundation

/// The drift loss in double precision, term by term as the formulas stand, and random cases for the checks of its parts.
struct DriftReference: Sendable {
    var groups = 2
    var samples: Int
    var negatives = 0
    var positives: Int
    var width: Int
    var isWeighted = false
    var includesSamples = true
    var affinity = DriftAffinity()

    var targets: Int { repelling + positives }
    var repelling: Int { (includesSamples ? samples : 0) + negatives }
    var name: String {
        "\(groups) x \(samples), \(negatives) negatives, \(positives) positives, \(width) wide, \(affinity.temperatures)"
            + (isWeighted ? ", weighted" : "") + (includesSamples ? "" : ", samples left out")
            + (affinity.unit == .rootWidth ? ", Algorithm 2" : "")
    }

    /// Sizes around the tiles of the kernels: one of everything, tails in every dimension, rows in several parts.
    static let cases: [DriftReference] = [
        .init(groups: 3, samples: 1, positives: 1, width: 1, affinity: .init(temperatures: [0.1])),
        .init(samples: 16, positives: 32, width: 64),
        .init(samples: 17, negatives: 5, positives: 33, width: 50, isWeighted: true),
        .init(samples: 5, negatives: 3, positives: 9, width: 7),
        .init(groups: 1, samples: 3, negatives: 2, positives: 1100, width: 18, isWeighted: true),
        .init(groups: 1, samples: 3, positives: 7, width: 130),
        .init(
            samples: 13, negatives: 19, positives: 24, width: 33, includesSamples: false,
            affinity: .init(temperatures: [1], selfPenalty: 1e6, floor: 0)),
        .init(groups: 3, samples: 9, positives: 14, width: 21, affinity: .drifting(temperatures: [0.05, 0.2])),
        .init(
            groups: 5, samples: 7, negatives: 6, positives: 10, width: 3, isWeighted: true,
            affinity: .drifting(temperatures: [0.1, 0.3, 1])),
    ]

    /// gen, positive, negative, then their weights.
    var inputs: [OperationCase.Input] {
        let rows = [samples, positives] + (negatives > 0 ? [negatives] : [])
        return rows.map { .init(shape: [groups, $0, width], isDifferentiable: false) }
            + (isWeighted ? rows.map { .init(shape: [groups, $0], values: .uniform(0.2, 2), isDifferentiable: false) } : [])
    }

    /// The targets among tensors that are in the order of `inputs`.
    func targets(_ x: [Tensor]) -> DriftTargets {
        let points = negatives > 0 ? 3 : 2
        return DriftTargets(
            positive: x[1], negative: negatives > 0 ? x[2] : nil,
            weights: isWeighted
                ? .init(gen: x[points], negative: negatives > 0 ? x[points + 2] : nil, positive: x[points + 1]) : nil,
            includesSamples: includesSamples)
    }

    /// Everything the kernels give, from inputs in the order of `inputs`.
    struct Result {
        var distance: [Double] = []
        var scale = 0.0
        /// [n, B, G, T].
        var affinities: [[Double]] = []
        /// [n, B, G, S].
        var force: [[Double]] = []
        var squaredForce: [Double] = []
        var coordinateUnit = 0.0
        /// gen / s - goal.
        var difference: [Double] = []
        var loss: Double { difference.reduce(0) { $0 + $1 * $1 } / Double(difference.count) }
        /// With the goal held constant.
        var gradient: [Double] { difference.map { 2 * $0 / coordinateUnit / Double(difference.count) } }
    }

    func evaluate(_ x: [[Double]]) -> Result {
        var result = Result()
        let weights = negatives > 0 ? 3 : 2
        // Targets of group b: coordinates and weights.
        func target(_ b: Int, _ j: Int) -> (point: ArraySlice<Double>, weight: Double) {
            let (list, index, count) =
                j >= repelling
                ? (1, j - repelling, positives)
                : j >= repelling - negatives ? (2, j - (repelling - negatives), negatives) : (0, j, samples)
            let row = b * count + index
            return (x[list][(row * width)..<((row + 1) * width)], isWeighted ? x[weights + list][row] : 1)
        }
        var (weightedDistance, weight) = (0.0, 0.0)
        for b in 0..<groups {
            for i in 0..<samples {
                let sample = x[0][((b * samples + i) * width)..<((b * samples + i + 1) * width)]
                for j in 0..<targets {
                    let (point, w) = target(b, j)
                    let square = zip(sample, point).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                    result.distance.append(max(square, 1e-8).squareRoot())
                    weightedDistance += max(square, 1e-8).squareRoot() * w
                    weight += w
                }
            }
        }
        result.scale = weightedDistance / weight
        let root = Double(width).squareRoot()
        let unit = affinity.unit == .rootWidth ? root : max(result.scale, 1e-3)
        result.coordinateUnit = affinity.unit == .rootWidth ? 1 : max(result.scale / root, 1e-3)
        var goal = x[0].map { $0 / result.coordinateUnit }
        for temperature in affinity.temperatures.map(Double.init) {
            var logits = result.distance.map { -$0 / unit / temperature }
            if includesSamples {
                for b in 0..<groups {
                    for i in 0..<samples {
                        logits[(b * samples + i) * targets + i] -= Double(affinity.selfPenalty) / temperature
                    }
                }
            }
            var affinities = [Double](repeating: 0, count: logits.count)
            var force = [Double](repeating: 0, count: x[0].count)
            for b in 0..<groups {
                let at = { (i: Int, j: Int) in (b * samples + i) * targets + j }
                let rows = (0..<samples).map { i in Self.logSum((0..<targets).map { logits[at(i, $0)] }) }
                let columns = (0..<targets).map { j in Self.logSum((0..<samples).map { logits[at($0, j)] }) }
                for i in 0..<samples {
                    for j in 0..<targets {
                        let product = exp(logits[at(i, j)] - rows[i]) * exp(logits[at(i, j)] - columns[j])
                        let floor = Double(affinity.floor) * Double(affinity.floor)
                        affinities[at(i, j)] = max(product, floor).squareRoot() * target(b, j).weight
                    }
                    let repelled = (0..<repelling).reduce(0) { $0 + affinities[at(i, $1)] }
                    let attracted = (repelling..<targets).reduce(0) { $0 + affinities[at(i, $1)] }
                    for j in 0..<targets {
                        let coefficient = affinities[at(i, j)] * (j < repelling ? -attracted : repelled)
                        for (s, (own, other)) in zip(
                            x[0][((b * samples + i) * width)..<((b * samples + i + 1) * width)], target(b, j).point
                        ).enumerated() {
                            force[(b * samples + i) * width + s] += coefficient * (other - own) / result.coordinateUnit
                        }
                    }
                }
            }
            result.affinities.append(affinities)
            result.force.append(force)
            result.squaredForce.append(force.reduce(0) { $0 + $1 * $1 } / Double(force.count))
            // The parts whose force is scaled to unit size together: all groups, or each.
            let part = force.count / (affinity.normalization == .group ? groups : 1)
            for first in stride(from: 0, to: force.count, by: part) {
                let mean = force[first..<(first + part)].reduce(0) { $0 + $1 * $1 } / Double(part)
                let size = (max(mean, Double(affinity.forceFloor)) + Double(affinity.forceEpsilon)).squareRoot()
                for index in first..<(first + part) { goal[index] += force[index] / size }
            }
        }
        result.difference = zip(x[0], goal).map { $0 / result.coordinateUnit - $1 }
        return result
    }

    private static func logSum(_ values: [Double]) -> Double {
        let most = values.max() ?? 0
        return most + Foundation.log(values.reduce(0) { $0 + exp($1 - most) })
    }
}
