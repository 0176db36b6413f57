import DriftGPU

/// The graphs of a round of masked autoregression for a batch: from what is known to conditions and the noise of the tokens it
/// draws (`begin`), a step of the head (`step`, run as often as the head has steps), and the tokens to their places (`end`). A head
/// of one step, or whose steps are one launch, has all of that in `begin`. Between them everything lies in storages that the rounds
/// share.
package struct RoundGraphs {
    /// The form of a batch.
    package struct Batch: Hashable, Sendable {
        package let size: DrawingGraph.Size
        package let isGuided: Bool
        /// Whether noise comes from storages that somebody has filled, not from the seed.
        package var isGiven = false
        /// Whether the entropies of a round stay in a storage.
        var keepsEntropy = false

        package init(_ size: DrawingGraph.Size, isGuided: Bool, isGiven: Bool = false, keepsEntropy: Bool = false) {
            (self.size, self.isGuided, self.isGiven, self.keepsEntropy) = (size, isGuided, isGiven, keepsEntropy)
        }

        /// b, images.
        var images: Int { size.labels * size.perLabel }
        /// B, conditions.
        var conditions: Int { isGuided ? 2 * images : images }
    }

    let begin: Graph
    let step: Graph?
    let end: Graph?

    private let stage: MARStage
    private let head: any TokenHead
    private let weights: StoredWeights
    private let batch: Batch
    private let settings: RoundSettings
    private let round: RoundSettings.Round
    private let number: Int
    private let steps: HeadSteps

    /// Graphs of the rounds of a batch, the first round first.
    static func all(_ stage: MARStage, _ head: any TokenHead, _ weights: StoredWeights, _ batch: Batch, _ settings: RoundSettings) throws -> [RoundGraphs] {
        let prepared = try HeadSteps.prepare(head, weights)
        return try settings.plan(tokens: stage.shape.tokens).enumerated().map { number, round in
            try RoundGraphs(stage, head, weights, batch, settings, round, number: number, prepared)
        }
    }

    /// Graphs of one round without guidance.
    static func one(
        _ stage: MARStage, _ head: any TokenHead, _ weights: StoredWeights, _ batch: Batch, _ settings: RoundSettings,
        _ round: RoundSettings.Round
    ) throws -> RoundGraphs {
        try RoundGraphs(stage, head, weights, batch, settings, round, number: 0, HeadSteps.prepare(head, weights))
    }

    private init(
        _ stage: MARStage, _ head: any TokenHead, _ weights: StoredWeights, _ batch: Batch, _ settings: RoundSettings,
        _ round: RoundSettings.Round, number: Int, _ prepared: HeadSteps.Prepared?
    ) throws {
        (self.stage, self.head, self.weights, self.batch, self.settings) = (stage, head, weights, batch, settings)
        (self.round, self.number) = (round, number)
        steps = try HeadSteps(
            head, loop: "round", count: batch.images * round.drawn.count, width: stage.shape.tokenWidth, tokens: stage.shape.tokens,
            imagesPerLabel: batch.size.perLabel, temperature: settings.temperature, isGiven: batch.isGiven, prepared)
        begin = Graph()
        step = steps.isOneGraph ? nil : Graph()
        end = steps.isOneGraph ? nil : Graph()
        let embedded = try makeBegin()
        if let step {
            try steps.step(embedded: embedded, cfg: cfg(step), noise: stepNoise(step, order(step, batch.images)), weights.scope(step))
        }
        if let end { try put(steps.result(end), end, order(end, batch.images)) }
    }

    /// Where everything lies.
    package enum Place {
        /// Tokens of the images [b R, C], zeros where they are not known yet.
        package static func tokens(_ count: Int) -> Storage { Storage("round_tokens", count: count, grows: true) }
        /// Orders [B, R]; by entropy, a round sorts what it finds hidden.
        package static func order(_ count: Int) -> Storage { Storage("round_order", count: count, element: .int32, grows: true) }
        /// Labels [B], and 0 where the condition is that of no label.
        package static func labels(_ count: Int) -> Storage { Storage("round_labels", count: count, element: .int32, grows: true) }
        /// Entropies [B, R] of a round.
        static func entropy(_ count: Int) -> Storage { Storage("round_entropy", count: count, grows: true) }
        package static func keeps(_ count: Int) -> Storage { Storage("round_keeps", count: count, grows: true) }
        /// Strength of guidance of each round, in the first of four values: tensors begin at multiples of 16 bytes.
        package static func strengths(_ rounds: Int) -> Storage { Storage("round_strengths", count: 4 * rounds, grows: true) }
        static func source(_ size: DrawingGraph.Size) -> DrawingSource { DrawingSource(loop: "round", labels: size.labels) }
        /// Noise that was given: what tokens start from [b R, W], and that of the steps [N, b R C].
        package static func givenStart(_ count: Int) -> Storage { Storage("round_given_start", count: count, grows: true) }
        package static func givenSteps(_ count: Int) -> Storage { Storage("round_given_steps", count: count, grows: true) }
    }

    /// Streams of a seed's random numbers; the round in their low 16 bits is the head's step.
    private static let startStream = 0x2010_0000
    private static let stepStream = 0x2011_0000

    // MARK: Parts

    private var tokens: Int { stage.shape.tokens }
    private var width: Int { stage.shape.tokenWidth }

    private func order(_ graph: Graph, _ rows: Int) throws -> Tensor {
        try graph.stored([rows, tokens], in: Place.order(batch.conditions * tokens))
    }

    private func known(_ graph: Graph) throws -> Tensor {
        try graph.stored([batch.images * tokens, width], in: Place.tokens(batch.images * tokens * width))
    }

    private func cfg(_ graph: Graph) throws -> Tensor? {
        batch.isGuided ? try graph.stored([1], in: Place.strengths(settings.rounds), at: 4 * number) : nil
    }

    /// Whether the entropy decides what the round draws.
    private var sorts: Bool { settings.order == .entropy && round.leaves }

    /// What the round draws by: the orders of the conditions [B, R] and those of the images [b, R]. Where the entropy decides, the
    /// hidden positions are sorted by it, the most certain last, where a round takes them from, and stay so for later rounds.
    private func orders(_ graph: Graph, _ known: Tensor, by entropy: Tensor?) throws -> (conditions: Tensor, images: Tensor) {
        guard sorts, let entropy else { return (known, try order(graph, batch.images)) }
        // With guidance both halves draw what the one with a label is sure of.
        let sorted = try graph.sortOrders(known, count: round.drawn.upperBound, by: entropy, period: batch.images)
        // The sort still reads what lies there.
        try graph.place(graph.copy(sorted), in: Place.order(sorted.count), at: 0)
        return (sorted, batch.isGuided ? try graph.slice(sorted, axis: 0, 0..<batch.images) : sorted)
    }

    /// The rows [n] of the drawn tokens among all, by the orders of the images [b, R].
    private func rows(_ order: Tensor, _ graph: Graph) throws -> Tensor { try graph.places(order, round.drawn, stride: tokens) }

    /// The same numbers for a token in whichever round it is drawn.
    private func noise(_ graph: Graph, _ order: Tensor, stream: Int, _ law: TokenNoise) throws -> Tensor {
        let all = try law.draw(tokens, images: batch.size.perLabel, of: source(graph, stream: stream), graph)
        return try graph.gatherRows(graph.reshape(all, [batch.images * tokens, law.width]), rows(order, graph))
    }

    private func source(_ graph: Graph, stream: Int) throws -> NoiseSource {
        try Place.source(batch.size).numbers(stream, round: steps.counter(graph).value, graph)
    }

    private func start(_ graph: Graph, _ order: Tensor) throws -> Tensor {
        guard batch.isGiven else { return try noise(graph, order, stream: Self.startStream, head.start) }
        let all = batch.images * tokens
        return try graph.gatherRows(
            graph.stored([all, head.start.width], in: Place.givenStart(all * head.start.width)), rows(order, graph))
    }

    private func stepNoise(_ graph: Graph, _ order: Tensor) throws -> Tensor? {
        guard head.drawsInSteps else { return nil }
        guard batch.isGiven else { return try noise(graph, order, stream: Self.stepStream, TokenNoise(.normal, width: width)) }
        let all = batch.images * tokens * width
        let given = try graph.selectRow(
            graph.stored([head.steps, all], in: Place.givenSteps(head.steps * all)), steps.counter(graph))
        return try graph.gatherRows(graph.reshape(given, [batch.images * tokens, width]), rows(order, graph))
    }

    private func put(_ drawn: Tensor, _ graph: Graph, _ order: Tensor) throws {
        let all = try graph.scatterRows(drawn, rows(order, graph), over: known(graph))
        try graph.place(all, in: Place.tokens(batch.images * tokens * width), at: 0)
    }

    /// Returns the shape of what the head's steps have in common.
    private func makeBegin() throws -> [Int] {
        let graph = begin
        try graph.reset(steps.counter(graph))
        let scope = weights.scope(graph)
        let conditions = batch.conditions
        let known = MARStage.Known(tokens: try known(graph), order: try order(graph, conditions), range: round.known)
        let decoded = try graph.part(Graph.stage) {
            let embedding = try stage.embed(
                graph.stored([conditions], in: Place.labels(conditions)), keeps: graph.stored([conditions], in: Place.keeps(conditions)), scope)
            return try stage.decode(
                stage.encode(embedding, known, scope), known, scope, withEntropy: sorts || head.sigma != nil || batch.keepsEntropy)
        }
        if batch.keepsEntropy, let entropy = decoded.entropy { try graph.place(entropy, in: Place.entropy(entropy.count), at: 0) }
        let (order, own) = try orders(graph, known.order, by: decoded.entropy)
        let (z, entropy) = try graph.part(Graph.stage) { try stage.select(round.drawn, of: order, from: decoded, scope) }
        let cfg = try cfg(graph)
        let embedded = try graph.part(Graph.head) {
            try head.embed(
                z: graph.reshape(z, [conditions * round.drawn.count, stage.shape.embed]),
                entropy: entropy.map { try graph.reshape($0, [conditions * round.drawn.count]) }, cfg: cfg, scope)
        }
        let start = try start(graph, own)
        guard step != nil else {
            let drawn = try steps.draw(
                start: start, embedded: embedded, cfg: cfg, noise: { try stepNoise($0, own) }, places: { try rows(own, $0) },
                source: { try source($0, stream: Self.stepStream) }, scope)
            try put(drawn, graph, own)
            return embedded.shape
        }
        try steps.begin(start: start, embedded: embedded, graph)
        return embedded.shape
    }
}
