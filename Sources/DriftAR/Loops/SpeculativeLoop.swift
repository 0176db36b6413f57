import DriftFormats
import DriftGPU

/// Settings of the speculative loop.
public struct Speculation: Sendable, Hashable, Codable, CustomStringConvertible {
    /// A proposal nearer to the target than this (Euclidean) is accepted.
    public var threshold: Float
    /// Factor of tau_context.
    public var gamma: Float
    /// Most rounds; a round ends the loop when the draft is sure of itself. 1 is the single loop.
    public var iterations: Int
    /// The draft's output at r - shift is the proposal for position r. The reference trains its draft for 1 and verifies it
    /// for 0.
    public var shift: Int

    /// The reference's values.
    public init(threshold: Float = 0.1, gamma: Float = 0.8, iterations: Int = 1, shift: Int = 0) {
        self.threshold = threshold
        self.gamma = gamma
        self.iterations = iterations
        self.shift = shift
    }

    /// The settings in words.
    public var description: String {
        "threshold \(threshold), gamma \(gamma), iterations \(iterations), shift \(shift)"
    }

    /// Most rounds there may be.
    public static let iterationLimit = 1000

    /// Throws a line that names the first setting out of range for images of so many tokens.
    public func validate(tokens: Int) throws {
        guard threshold >= 0, !threshold.isNaN else {
            throw ConfigurationError("spec-threshold \(threshold): take 0 (nothing is accepted) or more")
        }
        guard gamma >= 0, gamma.isFinite else { throw ConfigurationError("spec-gamma \(gamma): take 0 or more") }
        guard iterations >= 1, iterations <= Self.iterationLimit else {
            throw ConfigurationError("spec-iterations \(iterations): take 1 to \(Self.iterationLimit)")
        }
        guard shift >= 0, shift < tokens else {
            throw ConfigurationError("spec-shift \(shift): take 0 to \(tokens - 1)")
        }
    }
}

/// The speculative loop on the device: the draft proposes features from z, near ones are accepted and merged, the tracker of
/// the entropies decides after which round to end.
///
/// z, draft and entropies are the same in each round, so all rounds are decided in one launch, and only the last is decoded.
/// The tracker goes on over batches until `reset`.
package final class SpeculativeLoop {
    private let stage: LabelStage
    private let context: SamplingContext
    private var proposers: [Proposal: Proposer] = [:]
    private var deciders: [Decision: Decider] = [:]
    /// Where the results of the last proposals lie.
    private var last: ConditionStorage?
    package private(set) var figures = SpeculativeFigures()

    /// Where the tracker's state lies.
    package static let tracker = Storage("sample_tracker", count: EntropyTracker.stateCount)

    private struct Proposal: Hashable {
        let labels: Int
        let threshold: Float
        let shift: Int
    }

    private struct Proposer {
        let verdict: DraftVerdict
        let executor: Executor
    }

    private struct Decision: Hashable {
        let labels: Int
        let perLabel: Int
        let gamma: Float
        let rounds: Int
    }

    private struct Decider {
        let figures: Tensor
        let executor: Executor
    }

    init(_ stage: LabelStage, _ context: SamplingContext) { (self.stage, self.context) = (stage, context) }

    func reset() throws {
        figures = SpeculativeFigures()
        try context.memory.write([Float](repeating: 0, count: EntropyTracker.stateCount), to: Self.tracker)
    }

    /// Runs the draft on the conditions loaded for `labels` and merges what is accepted into `ConditionStorage.merged`.
    func propose(_ labels: [Int], _ settings: Speculation) throws {
        let key = Proposal(labels: labels.count, threshold: settings.threshold, shift: settings.shift)
        let proposer = try proposers[key] ?? context.clock.measure(.prepare) { try makeProposer(key) }
        try context.clock.measure(.draft) {
            try proposer.executor.run()
            try context.memory.device.finish()
        }
        let (prefix, total) = try context.clock.measure(.readBack) {
            (try proposer.executor.read(proposer.verdict.prefix), try proposer.executor.read(proposer.verdict.total))
        }
        for (row, label) in labels.enumerated() {
            figures.add(.init(label: label, acceptedLength: Int(prefix[row]), accepted: Int(total[row])))
        }
        last = ConditionStorage(labels: labels.count, stage.shape)
    }

    /// How many rounds the loop takes over the labels proposed for, with as many images of each.
    func rounds(_ labels: [Int], perLabel: Int, _ settings: Speculation) throws -> Int {
        let key = Decision(
            labels: labels.count, perLabel: perLabel, gamma: settings.gamma, rounds: settings.iterations)
        let decider = try deciders[key] ?? context.clock.measure(.prepare) { try makeDecider(key) }
        let values = try context.clock.measure(.draft) {
            try decider.executor.run()
            return try decider.executor.read(decider.figures)
        }
        let batch = SpeculativeFigures.Batch(
            labels: labels.count, perLabel: perLabel, positions: stage.shape.tokens, rounds: Int(values[0]),
            acceptedLengthMean: values[1], draftEntropyMean: values[2], tauGlobal: values[3], tauContext: values[4],
            endedEarly: values[5] != 0)
        figures.add(batch)
        return batch.rounds
    }

    /// Distance of each proposal [L, R], accepted or not [L, R], and longest accepted prefixes [L] of the last proposals.
    package func verdict() throws -> (distance: [Float], accepted: [Float], prefix: [Float]) {
        guard let last else { return ([], [], []) }
        func values(_ storage: Storage) throws -> [Float] { try context.memory.read(Float.self, from: storage) }
        return (try values(last.distance), try values(last.accepted), try values(last.prefix))
    }

    private func makeProposer(_ key: Proposal) throws -> Proposer {
        let (graph, verdict) = try Self.proposal(stage, context.weights, labels: key.labels, threshold: key.threshold, shift: key.shift)
        let proposer = Proposer(verdict: verdict, executor: try context.memory.executor(graph))
        proposers[key] = proposer
        return proposer
    }

    private func makeDecider(_ key: Decision) throws -> Decider {
        let (graph, figures) = try Self.decision(
            stage, labels: key.labels, perLabel: key.perLabel, gamma: key.gamma, rounds: key.rounds)
        let decider = Decider(figures: figures, executor: try context.memory.executor(graph))
        deciders[key] = decider
        return decider
    }

    /// The graph that runs the draft on the conditions of `labels` labels and merges what is accepted.
    private static func proposal(
        _ stage: LabelStage, _ weights: StoredWeights, labels: Int, threshold: Float, shift: Int
    ) throws -> (graph: Graph, verdict: DraftVerdict) {
        let graph = Graph()
        let storage = ConditionStorage(labels: labels, stage.shape)
        let z = try storage.features(storage.z, in: graph)
        let draft = try graph.part(Graph.stage) { try stage.propose(z: z, weights.scope(graph)) }
        let verdict = try graph.verifyDraft(draft.features, against: z, threshold: threshold, shift: shift)
        try graph.place(verdict.merged, in: storage.merged, at: 0)
        try graph.place(verdict.prefix, in: storage.prefix, at: 0)
        try graph.place(draft.entropy, in: storage.draftEntropy, at: 0)
        try graph.place(verdict.distance, in: storage.distance, at: 0)
        try graph.place(verdict.accepted, in: storage.accepted, at: 0)
        graph.output(verdict.total)
        return (graph, verdict)
    }

    /// The graph that decides after which round to end.
    private static func decision(
        _ stage: LabelStage, labels: Int, perLabel: Int, gamma: Float, rounds: Int
    ) throws -> (graph: Graph, figures: Tensor) {
        let graph = Graph()
        let storage = ConditionStorage(labels: labels, stage.shape)
        let result = try graph.speculativeRounds(
            rounds, entropy: storage.map(storage.entropy, in: graph),
            draftEntropy: storage.map(storage.draftEntropy, in: graph), prefix: graph.stored([labels], in: storage.prefix),
            state: graph.stored([EntropyTracker.stateCount], in: tracker), EntropyTracker(gamma: gamma, group: perLabel))
        try graph.place(result.state, in: tracker, at: 0)
        graph.output(result.figures)
        return (graph, result.figures)
    }

    /// The graphs of a loop over `labels` labels with `perLabel` images each.
    static func graphs(
        _ stage: LabelStage, _ weights: StoredWeights, labels: Int, perLabel: Int, _ settings: Speculation
    ) throws -> [Graph] {
        [
            try proposal(stage, weights, labels: labels, threshold: settings.threshold, shift: settings.shift).graph,
            try decision(stage, labels: labels, perLabel: perLabel, gamma: settings.gamma, rounds: settings.iterations).graph,
        ]
    }
}
