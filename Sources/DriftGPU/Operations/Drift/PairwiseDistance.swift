/// The targets of the generated samples, group by group: what attracts them, what repels them besides each other, and how
/// much each counts.
public struct DriftTargets: Sendable {
    /// [B, P, S].
    public var positive: Tensor
    /// [B, N, S].
    public var negative: Tensor?
    public var weights: Weights?
    /// Whether the samples repel each other: the first G targets of a group are then its own samples.
    public var includesSamples: Bool

    /// A weight for each sample [B, G], negative [B, N] and positive [B, P]: in the mean distance, and on the affinity after both
    /// softmaxes, as the reference has it. Inside the exponential, where the Drifting paper's A.7 puts it, the softmax over
    /// samples would divide it out again and leave its root.
    public struct Weights: Sendable {
        public var gen: Tensor
        public var negative: Tensor?
        public var positive: Tensor
        public init(gen: Tensor, negative: Tensor? = nil, positive: Tensor) {
            self.gen = gen
            self.negative = negative
            self.positive = positive
        }
    }

    public init(positive: Tensor, negative: Tensor? = nil, weights: Weights? = nil, includesSamples: Bool = true) {
        self.positive = positive
        self.negative = negative
        self.weights = weights
        self.includesSamples = includesSamples
    }
}

/// Which of the tensors of a group an operation was given, in this order: gen, positive, negative, weights of gen, positive,
/// negative.
struct DriftInputs: Sendable, Hashable {
    let hasNegative: Bool
    let isWeighted: Bool
    let includesSamples: Bool

    /// Sizes of a batch of groups.
    struct Sizes {
        var groups, samples, selfTargets, negatives, positives, width: Int
        var targets: Int { selfTargets + negatives + positives }
    }

    /// How many tensors these are; an operation's other inputs follow them.
    var count: Int { (hasNegative ? 3 : 2) * (isWeighted ? 2 : 1) }

    init(_ targets: DriftTargets) throws {
        hasNegative = targets.negative != nil
        isWeighted = targets.weights != nil
        includesSamples = targets.includesSamples
        if let weights = targets.weights, (weights.negative != nil) != hasNegative {
            throw GraphError("pairwise_distance: negatives and their weights come together or not at all")
        }
    }

    static func tensors(_ gen: Tensor, _ targets: DriftTargets) -> [Tensor] {
        let negative = targets.negative.map { [$0] } ?? []
        guard let weights = targets.weights else { return [gen, targets.positive] + negative }
        return [gen, targets.positive] + negative + [weights.gen, weights.positive] + (weights.negative.map { [$0] } ?? [])
    }

    /// The sizes of the shapes that `check` has accepted.
    func sizes(_ inputs: [TensorType]) -> Sizes {
        Sizes(
            groups: inputs[0].shape[0], samples: inputs[0].shape[1], selfTargets: includesSamples ? inputs[0].shape[1] : 0,
            negatives: hasNegative ? inputs[2].shape[1] : 0, positives: inputs[1].shape[1], width: inputs[0].shape[2])
    }

    /// Throws unless gen, positive and negative are [B, *, S] and the weights have their leading dimensions.
    func check(_ inputs: [TensorType], _ name: String) throws -> Sizes {
        let points = inputs.prefix(hasNegative ? 3 : 2)
        for type in points {
            guard type.rank == 3, type.element == .float32, type.count > 0, type.shape[0] == inputs[0].shape[0],
                type.shape[2] == inputs[0].shape[2]
            else { throw GraphError("\(name): \(type) beside gen \(inputs[0]); [groups, samples, coordinates] are needed") }
        }
        if isWeighted {
            for (weight, point) in zip(inputs.dropFirst(points.count), points) where weight.shape != Array(point.shape.dropLast()) {
                throw GraphError("\(name): weights \(weight) for \(point); one weight for each row is needed")
            }
        }
        return sizes(inputs)
    }

    /// gen, negative, positive.
    var points: [Argument] { [.input(0), .input(hasNegative ? 2 : 0), .input(1)] }
    /// Their weights; gen stands in for what is not read.
    var weights: [Argument] {
        guard isWeighted else { return [.input(0), .input(0), .input(0)] }
        return hasNegative ? [.input(3), .input(5), .input(4)] : [.input(2), .input(2), .input(3)]
    }
}

extension DriftInputs.Sizes {
    /// groups, samples, self, negatives, positives.
    var arguments: [Argument] { [.int(groups), .int(samples), .int(selfTargets), .int(negatives), .int(positives)] }
    /// Rows of all groups in blocks of about `rows`, which a team takes together.
    func blocks(_ rows: Int) -> Int { groups * ((samples + rows - 1) / rows) }
}

/// Distances of the samples of a group to its targets, and their weighted mean over all groups. Inputs: those of
/// `DriftInputs`; outputs: distance [B, G, T], scale [1]. No gradient flows: the drift field is a constant of the loss.
struct PairwiseDistance: Operation {
    let drift: DriftInputs

    var name: String { "pairwise_distance" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let sizes = try drift.check(inputs, name)
        return [TensorType([sizes.groups, sizes.samples, sizes.targets]), TensorType([1])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [Tensor?](repeating: nil, count: node.inputs.count)
    }
    /// The weighted sum of each row of distances.
    func scratch(_ context: LaunchContext) -> [TensorType] { [TensorType(Array(context.inputs[0].shape.prefix(2)))] }
    func commands(_ context: LaunchContext) -> [Command] {
        let sizes = drift.sizes(context.inputs)
        let pairs = context.outputs[0].count
        let weighted = Argument.int(drift.isWeighted ? 1 : 0)
        let points = sizes.groups * (sizes.samples + sizes.negatives + sizes.positives) * sizes.width
        return [
            context.rowLaunch(
                "pairwise_distance_forward", family: name, rows: sizes.blocks(8),
                arguments: drift.points + drift.weights + [.output(0), .scratch(0)] + sizes.arguments
                    + [.int(sizes.width), weighted],
                traffic: Traffic(bytes: 4 * (pairs + points), flops: 3 * pairs * sizes.width)),
            context.teamLaunch(
                "pairwise_distance_scale", family: name, teams: 1,
                indices: sizes.groups * max(sizes.samples, sizes.negatives, sizes.positives),
                arguments: [.scratch(0)] + drift.weights + [.output(1)] + sizes.arguments + [weighted],
                traffic: Traffic(bytes: 4 * sizes.groups * sizes.samples, flops: sizes.groups * sizes.samples)),
        ]
    }
}

extension Graph {
    /// Euclidean distances of `gen` [B, G, S] to the targets of its group, in the order samples, negatives, positives:
    /// [B, G, T] (squares at least 1e-8); and scale [1] = mean(distance * weight) / mean(weight) over all groups. Both are
    /// constants: no gradient flows through them.
    public func pairwiseDistance(_ gen: Tensor, to targets: DriftTargets) throws -> (distance: Tensor, scale: Tensor) {
        let outputs = try apply(
            PairwiseDistance(drift: DriftInputs(targets)), DriftInputs.tensors(gen, targets))
        return (outputs[0], outputs[1])
    }
}
