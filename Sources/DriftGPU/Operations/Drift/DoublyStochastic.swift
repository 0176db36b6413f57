/// The affinities of the drift field: softmax over targets times softmax over samples, one pair for each temperature. They
/// are never stored; what is kept is enough to compute each with one exponential. Inputs: distance [B, G, T], scale [1],
/// temperatures [n]; outputs: row state [B, 1 + n, G], column state [B, 1 + n, T] (see doubly_stochastic.cl).
struct DoublyStochastic: Operation {
    let affinity: DriftAffinity
    /// Whether the first G targets are the samples themselves.
    let includesSamples: Bool

    var name: String { "doubly_stochastic" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let distance = inputs[0]
        guard distance.rank == 3, !includesSamples || distance.shape[2] >= distance.shape[1], inputs[1].count == 1,
            inputs[2].count == affinity.temperatures.count
        else {
            throw GraphError("doubly_stochastic: distances \(distance), scale \(inputs[1]), temperatures \(inputs[2])")
        }
        let planes = 1 + affinity.temperatures.count
        return [
            TensorType([distance.shape[0], planes, distance.shape[1]]),
            TensorType([distance.shape[0], planes, distance.shape[2]]),
        ]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { [nil, nil, nil] }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let (groups, samples, targets) = (shape[0], shape[1], shape[2])
        let exponentials = 2 * affinity.temperatures.count * context.inputs[0].count
        return [
            context.rowLaunch(
                "doubly_stochastic_forward", family: name, defines: affinity.defines, rows: groups * (samples + 1),
                indices: groups * (samples + targets),
                arguments: [
                    .input(0), .input(1), .input(2), .output(0), .output(1), .int(groups), .int(samples), .int(targets),
                    .int(includesSamples ? samples : 0), .float(affinity.selfPenalty),
                ], traffic: Traffic(bytes: 8 * context.inputs[0].count, flops: 15 * exponentials))
        ]
    }
}

/// How distances become affinities, and forces of several temperatures one field.
public struct DriftAffinity: Sendable, Hashable {
    /// One field for each, in units of the scale.
    public var temperatures: [Float]
    /// Added to the distance of a sample to itself, in units of the scale.
    public var selfPenalty: Float
    /// Least affinity before the weight is applied: the root of the reference's floor of 1e-6 under the product.
    public var floor: Float

    /// What distances are measured in.
    public enum Unit: Sendable, Hashable {
        /// Their weighted mean over all groups.
        case meanDistance
        /// sqrt(S): temperatures are then multiples of sqrt(S), and forces are in units of the coordinates themselves.
        case rootWidth
    }
    /// What the mean squared force is taken over. Each temperature's force is divided by the root of that mean.
    public enum Normalization: Sendable, Hashable { case batch, group }

    public var unit = Unit.meanDistance
    public var normalization = Normalization.batch
    /// Least mean squared force, and what is added to it: force / sqrt(max(mean, floor) + epsilon).
    public var forceFloor: Float = 1e-8
    public var forceEpsilon: Float = 0

    public init(temperatures: [Float] = [0.02, 0.05, 0.2], selfPenalty: Float = 100, floor: Float = 1e-3) {
        self.temperatures = temperatures
        self.selfPenalty = selfPenalty
        self.floor = floor
    }

    /// Algorithm 2 of "Generative Modeling via Drifting" (arXiv 2602.04770): the kernel exp(-|x - y| / (temperature sqrt(S))),
    /// affinities without a floor, and a field for each group on its own.
    public static func drifting(temperatures: [Float]) -> DriftAffinity {
        var affinity = DriftAffinity(temperatures: temperatures, selfPenalty: 1e6, floor: 0)
        affinity.unit = .rootWidth
        affinity.normalization = .group
        affinity.forceFloor = 0
        affinity.forceEpsilon = 1e-8
        return affinity
    }

    /// Parts of a batch of groups gen [B, G, S] whose forces are scaled together.
    func parts(_ gen: TensorType) -> Int { normalization == .group ? gen.shape[0] : 1 }

    /// Most temperatures of one field: their accumulators share the registers.
    public static let mostTemperatures = 8

    /// -D values of the kernels that are made for a number of temperatures; 3 is their default.
    var defines: [String: String] { temperatures.count == 3 ? [:] : ["TEMPERATURES": "\(temperatures.count)"] }

    func check() throws {
        guard (1...Self.mostTemperatures).contains(temperatures.count), temperatures.allSatisfy({ $0 > 0 && $0.isFinite })
        else {
            throw GraphError("drift_field: temperatures \(temperatures); 1 to \(Self.mostTemperatures) positive numbers are needed")
        }
    }
}

extension Graph {
    /// Row and column states of the doubly stochastic normalisation of `distance` [B, G, T] in units of `scale` [1].
    func doublyStochastic(
        _ distance: Tensor, scale: Tensor, _ affinity: DriftAffinity, includesSamples: Bool
    ) throws -> (rows: Tensor, columns: Tensor) {
        try affinity.check()
        let outputs = try apply(
            DoublyStochastic(affinity: affinity, includesSamples: includesSamples), distance, scale,
            temperatures(affinity))
        return (outputs[0], outputs[1])
    }

    /// What distances of gen [B, G, S] are measured in [1]: the mean distance `scale`, or sqrt(S).
    func driftUnit(_ gen: Tensor, scale: Tensor, _ affinity: DriftAffinity) throws -> Tensor {
        guard affinity.unit == .rootWidth else { return scale }
        let width = gen.type.columns
        return try constant("root width \(width)", [Float(width).squareRoot()], [1])
    }

    /// The temperatures as a tensor.
    func temperatures(_ affinity: DriftAffinity) throws -> Tensor {
        let list = affinity.temperatures
        return try constant("temperatures " + list.map { "\($0)" }.joined(separator: " "), list, [list.count])
    }
}
