/// Which of a draft's proposals are accepted, and the features that follow. Inputs: draft, target [B, R, D]. Outputs: merged
/// [B, R, D], distance [B, R], accepted [B, R], prefix [B], total [B].
struct DraftVerification: Operation {
    let threshold: Float
    let shift: Int

    var name: String { "draft_verification" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let target = inputs[1]
        guard target.rank == 3, inputs[0] == target else {
            throw GraphError("draft_verification: a draft \(inputs[0]) of the target \(target); both must be the same [B, R, D]")
        }
        guard shift >= 0, shift < target.shape[1] else {
            throw GraphError("draft_verification: shifted by \(shift) in \(target.shape[1]) positions")
        }
        let rows = TensorType(Array(target.shape.dropLast()))
        let labels = TensorType([target.shape[0]])
        return [target, rows, rows, labels, labels]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let target = context.inputs[1]
        let (batch, positions) = (target.shape[0], target.shape[1])
        return [
            context.rowLaunch(
                "draft_verify", family: "speculation", rows: target.rows,
                arguments: [
                    .input(0), .input(1), .output(0), .output(1), .output(2), .int(batch), .int(positions),
                    .int(target.columns), .int(shift), .float(threshold),
                ], traffic: Traffic(bytes: 12 * target.count, flops: 3 * target.count)),
            context.rowLaunch(
                "draft_prefix", family: "speculation", rows: batch,
                arguments: [.output(2), .output(3), .output(4), .int(batch), .int(positions), .int(shift)],
                traffic: Traffic(bytes: 8 * target.rows, flops: target.rows)),
        ]
    }
}

/// The tracker after more entropies. Inputs: entropy, state [4]. Outputs: state [4], thresholds [2].
struct EntropyTracking: Operation {
    let tracker: EntropyTracker

    var name: String { "entropy_tracker" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try tracker.check(name, inputs[1])
        return [inputs[1], TensorType([2])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[0].count
        return [
            context.teamLaunch(
                "entropy_tracker", family: "speculation", teams: 1,
                arguments: [.input(0), .input(1), .output(0), .output(1), .int(count)] + tracker.arguments,
                traffic: Traffic(bytes: 4 * count, flops: 3 * count))
        ]
    }
}

/// All rounds of the loop over one batch. Inputs: entropy, draft entropy [B, R], prefix [B], state [4]. Outputs: state [4],
/// figures [6].
struct SpeculativeRounds: Operation {
    let tracker: EntropyTracker
    let rounds: Int

    var name: String { "speculative_rounds" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try tracker.check(name, inputs[3])
        guard inputs[0].rank == 2, inputs[1] == inputs[0], inputs[2].shape == [inputs[0].shape[0]], rounds > 0 else {
            throw GraphError(
                "speculative_rounds: \(rounds) rounds over entropies \(inputs[0]) and \(inputs[1]), prefixes \(inputs[2]); [B, R], [B, R], [B] are needed")
        }
        return [inputs[3], TensorType([6])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let entropy = context.inputs[0]
        let arguments = tracker.arguments
        return [
            context.teamLaunch(
                "speculative_rounds", family: "speculation", teams: 1,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .output(1), .int(entropy.count),
                    .int(entropy.shape[0]), arguments[0], .int(rounds), arguments[1], arguments[2],
                ], traffic: Traffic(bytes: 8 * entropy.count, flops: 4 * entropy.count))
        ]
    }
}

/// The running statistics of the target's entropies from which the loop takes its thresholds: tau_global = 0.3 mean - 0.1 std
/// over everything seen, tau_context = gamma EMA, where the EMA of the batches' means begins at tau_global / gamma.
public struct EntropyTracker: Sendable, Hashable {
    /// 0 or more.
    public var gamma: Float
    /// Decay of the EMA.
    public var decay: Float
    /// How many times each value counts: once for every image of its label.
    public var group: Int

    public init(gamma: Float = 0.8, decay: Float = 0.9, group: Int = 1) {
        self.gamma = gamma
        self.decay = decay
        self.group = group
    }

    /// Elements of its state: values seen, their mean and variance, the EMA. All 0 when nothing has been seen.
    public static let stateCount = 4

    fileprivate var arguments: [Argument] { [.int(group), .float(gamma), .float(decay)] }

    fileprivate func check(_ name: String, _ state: TensorType) throws {
        guard state == TensorType([Self.stateCount]) else {
            throw GraphError("\(name): the tracker's state is \(state), not [\(Self.stateCount)]")
        }
        guard gamma >= 0, gamma.isFinite, decay >= 0, decay <= 1, group > 0 else {
            throw GraphError("\(name): gamma \(gamma), decay \(decay), groups of \(group)")
        }
    }
}

/// What the draft's proposals came to.
public struct DraftVerdict: Sendable {
    /// The draft's features where accepted, the target's elsewhere: [B, R, D].
    public let merged: Tensor
    /// Between proposal and target, infinite where nothing was proposed: [B, R].
    public let distance: Tensor
    /// 1 where accepted, else 0: [B, R].
    public let accepted: Tensor
    /// Longest accepted run from the first proposal on: [B].
    public let prefix: Tensor
    /// Accepted positions, in the prefix or behind it: [B].
    public let total: Tensor
}

extension Graph {
    /// Accepts the proposal draft[r - shift] for position r when it is nearer to target[r] than `threshold` (Euclidean);
    /// positions below `shift` have none. Both [B, R, D]. No gradient.
    public func verifyDraft(
        _ draft: Tensor, against target: Tensor, threshold: Float, shift: Int = 0
    ) throws -> DraftVerdict {
        let outputs = try apply(DraftVerification(threshold: threshold, shift: shift), draft, target)
        return DraftVerdict(
            merged: outputs[0], distance: outputs[1], accepted: outputs[2], prefix: outputs[3], total: outputs[4])
    }

    /// The tracker's state after `entropy`, and {tau_global, tau_context} then.
    public func track(
        _ entropy: Tensor, state: Tensor, _ tracker: EntropyTracker
    ) throws -> (state: Tensor, thresholds: Tensor) {
        let outputs = try apply(EntropyTracking(tracker: tracker), entropy, state)
        return (outputs[0], outputs[1])
    }

    /// At most `rounds` rounds, in each of which the tracker sees `entropy` [B, R]; a round in which the mean of
    /// `draftEntropy` [B, R] is below both thresholds is the last. Returns the tracker's state and {rounds taken, mean of
    /// `prefix` [B], mean of draftEntropy, tau_global, tau_context, 1 when ended early}.
    public func speculativeRounds(
        _ rounds: Int, entropy: Tensor, draftEntropy: Tensor, prefix: Tensor, state: Tensor, _ tracker: EntropyTracker
    ) throws -> (state: Tensor, figures: Tensor) {
        let outputs = try apply(
            SpeculativeRounds(tracker: tracker, rounds: rounds), entropy, draftEntropy, prefix, state)
        return (outputs[0], outputs[1])
    }
}
