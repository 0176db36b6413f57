import DriftGPU

/// The graphs of causal decoding of a batch: one for the class rows, which draws the first token, and one for a pass over tokens,
/// which draws those behind. Where each image is, the device knows: the same graph runs for every token. A head of several
/// steps that are not one launch has graphs of its own between and behind.
package struct CausalGraphs {
    /// The form of a batch.
    package struct Batch: Hashable, Sendable {
        package let size: DrawingGraph.Size
        package let isGuided: Bool
        /// G, tokens that a pass draws at once.
        package let parallel: Int
        package let tolerance: Float
        /// Whether noise comes from storages that somebody has filled, not from the seed.
        package var isGiven = false

        package init(_ size: DrawingGraph.Size, isGuided: Bool, parallel: Int = 1, tolerance: Float = 0, isGiven: Bool = false) {
            (self.size, self.isGuided, self.parallel, self.tolerance) = (size, isGuided, parallel, tolerance)
            self.isGiven = isGiven
        }

        /// b, images.
        var images: Int { size.labels * size.perLabel }
        /// B, conditions.
        var conditions: Int { isGuided ? 2 * images : images }
    }

    /// From the class rows, and from tokens, to what is drawn.
    let first: Graph
    let next: Graph
    let step: Graph?
    let end: Graph?
    /// Computes once for a set of weights what head and stage need of them; nil where that is nothing.
    let preparation: Graph?

    let stage: CausalStage
    let head: any TokenHead
    private let weights: StoredWeights
    let batch: Batch
    private let steps: HeadSteps
    /// Where the stage's packed weights lie; nil where it is too large for the kernel that takes them.
    private let stageWeights: Storage?
    /// Where the draft's lie; nil where it is too large, or none guesses.
    private(set) var draftWeights: Storage?

    package init(_ stage: CausalStage, _ head: any TokenHead, _ weights: StoredWeights, _ batch: Batch) throws {
        (self.stage, self.head, self.weights, self.batch) = (stage, head, weights, batch)
        let prepared = try HeadSteps.prepare(head, weights)
        steps = try HeadSteps(
            head, loop: "causal", count: batch.images, width: stage.shape.tokenWidth, tokens: stage.shape.tokens,
            imagesPerLabel: batch.size.perLabel, temperature: stage.drawing.temperature, isGiven: batch.isGiven, prepared)
        let preparation = prepared?.graph ?? Graph()
        func keep(_ packed: Tensor, _ name: String) throws -> Storage {
            let storage = Storage("causal_\(name)_\(packed.count)", count: packed.count)
            try preparation.place(packed, in: storage, at: 0)
            return storage
        }
        let scope = weights.scope(preparation)
        stageWeights = try stage.small == nil ? nil : keep(stage.packed(scope), "weights")
        let guesses = batch.parallel > 1 && stage.drawing.guess == .draft
        if guesses, let draft = stage.shape.draft, draft.small != nil { draftWeights = try keep(draft.packed(scope), "draft_weights") }
        self.preparation = prepared == nil && stageWeights == nil && draftWeights == nil ? nil : preparation
        (first, next) = (Graph(), Graph())
        step = steps.isOneGraph ? nil : Graph()
        end = steps.isOneGraph ? nil : Graph()
        guard head.steps == 1 || batch.parallel == 1 else {
            throw GraphError("causal decoding: the head \(head.kind) draws a token in \(head.steps) steps; draw one token after the other")
        }
        let embedded = try make(first, isFirst: true)
        _ = try make(next, isFirst: false)
        if let step {
            try steps.step(embedded: embedded, cfg: cfg(step, known(step), count: 1), noise: stepNoise(step), weights.scope(step))
        }
        if let end { _ = try accept(stored(steps.result(end), end, count: 1), end) }
    }

    /// All graphs, in the order in which an image's first token meets them.
    var all: [Graph] { [preparation, first].compactMap { $0 } + [step, end].compactMap { $0 } + [next] }

    /// Where everything lies.
    package enum Place {
        /// Tokens of the images [b, R, C]: drawn ones, then guesses.
        package static func tokens(_ count: Int) -> Storage { Storage("causal_tokens", count: count, grows: true) }
        /// Tokens of each image that are drawn [b].
        package static func known(_ count: Int) -> Storage { Storage("causal_known", count: count, element: .int32, grows: true) }
        /// How many passes over each image made 1, 2, ... G tokens final [b, G].
        package static func tally(_ count: Int) -> Storage { Storage("causal_tally", count: count, element: .int32, grows: true) }
        /// Classes [B].
        package static func classes(_ count: Int) -> Storage { Storage("causal_classes", count: count, element: .int32, grows: true) }
        /// Of each block the keys, then the values [B, H_kv, n + R - 1, size].
        static func caches(_ count: Int) -> Storage { Storage("causal_caches", count: count, grows: true) }
        /// Strength of guidance for each token [R].
        package static func strengths(_ tokens: Int) -> Storage { Storage("causal_strengths_\(tokens)", count: tokens) }
        /// What tokens start from [b, R, W].
        package static func start(_ count: Int) -> Storage { Storage("causal_start", count: count, grows: true) }
        /// Noise of a head's steps that was given [N, b R C].
        package static func givenSteps(_ count: Int) -> Storage { Storage("causal_given_steps", count: count, grows: true) }
        static func source(_ size: DrawingGraph.Size) -> DrawingSource { DrawingSource(loop: "causal", labels: size.labels) }
        /// Of each guess that was checked, how far it was from the token drawn in its place [b, R]; below 0 where none was.
        package static func distance(_ count: Int) -> Storage { Storage("causal_distance", count: count, grows: true) }
        /// The draft's entropy for each token that it proposed [b, R].
        package static func draftEntropy(_ count: Int) -> Storage { Storage("causal_draft_entropy", count: count, grows: true) }
        /// As `caches`, of the draft.
        static func draftCaches(_ count: Int) -> Storage { Storage("causal_draft_caches", count: count, grows: true) }
    }

    /// Streams of a seed's random numbers; the low 16 bits are the head's step.
    private static let startStream = 0x2016_0000
    private static let stepStream = 0x2017_0000

    // MARK: Parts

    private var tokens: Int { stage.shape.tokens }
    private var width: Int { stage.shape.tokenWidth }

    private func known(_ graph: Graph) throws -> Tensor { try graph.stored([batch.images], in: Place.known(batch.images)) }
    func sequence(_ graph: Graph) throws -> Tensor {
        try graph.stored([batch.images, tokens, width], in: Place.tokens(batch.images * tokens * width))
    }

    private func source(_ graph: Graph, stream: Int) throws -> NoiseSource {
        try Place.source(batch.size).numbers(stream, round: steps.counter(graph).value, graph)
    }

    private var caches: Storage { Place.caches(2 * stage.shape.depth * stage.pass.span(batch.conditions)) }

    private func cache(_ graph: Graph, _ layer: Int) throws -> KeyValueCache {
        try stage.pass.cache(graph, in: caches, layer: layer, sequences: batch.conditions)
    }

    /// The strengths of guidance of `count` tokens of each image, from the next but `offset` on: one where all images are at the same
    /// token.
    func cfg(_ graph: Graph, _ known: Tensor, offset: Int = 0, count: Int) throws -> Tensor? {
        guard batch.isGuided else { return nil }
        let table = try graph.stored([1, tokens, 1], in: Place.strengths(tokens))
        guard batch.parallel == 1 else {
            return try graph.reshape(
                graph.window(table, from: known, offset: offset, count: count, sequences: batch.images), [batch.images * count])
        }
        let one = try graph.slice(known, axis: 0, 0..<1)
        return try graph.reshape(graph.window(table, from: one, count: 1, sequences: 1), [1])
    }

    /// What `count` tokens of each image start from, from the next but `offset` on: [b count, W].
    func start(_ graph: Graph, _ known: Tensor, offset: Int = 0, count: Int, isFirst: Bool) throws -> Tensor {
        let own = head.start
        let storage = Place.start(batch.images * tokens * own.width)
        var all = try graph.stored([batch.images, tokens, own.width], in: storage)
        if isFirst, !batch.isGiven {
            all = try own.draw(tokens, images: batch.size.perLabel, of: source(graph, stream: Self.startStream), graph)
            try graph.place(all, in: storage, at: 0)
        }
        return try graph.reshape(
            graph.window(all, from: known, offset: offset, count: count, sequences: batch.images), [batch.images * count, own.width])
    }

    private func stepNoise(_ graph: Graph) throws -> Tensor? {
        guard head.drawsInSteps else { return nil }
        let all: Tensor
        if batch.isGiven {
            let count = batch.images * tokens * width
            all = try graph.selectRow(graph.stored([head.steps, count], in: Place.givenSteps(head.steps * count)), steps.counter(graph))
        } else {
            all = try TokenNoise(.normal, width: width).draw(
                tokens, images: batch.size.perLabel, of: source(graph, stream: Self.stepStream), graph)
        }
        let rows = try graph.reshape(all, [batch.images, tokens, width])
        return try graph.reshape(graph.window(rows, from: known(graph), count: 1, sequences: batch.images), [batch.images, width])
    }

    /// Drawn tokens [b G, C] as they are stored and fed back [b, G, C].
    private func stored(_ drawn: Tensor, _ graph: Graph, count: Int) throws -> Tensor {
        try graph.reshape(stage.norm(drawn, graph), [batch.images, count, width])
    }

    /// Returns which of the tokens [b, G, C] is the last final one of its image [b].
    private func accept(_ stored: Tensor, _ graph: Graph) throws -> Tensor {
        let tally = try graph.stored([batch.images, batch.parallel], in: Place.tally(batch.images * batch.parallel))
        let distance = try graph.stored([batch.images, tokens], in: Place.distance(batch.images * tokens))
        return try graph.acceptTokens(
            stored, into: sequence(graph), known: known(graph), tally: tally, distance: distance, tolerance: batch.tolerance)
    }

    /// Returns the shape of what the head's steps have in common.
    private func make(_ graph: Graph, isFirst: Bool) throws -> [Int] {
        // What a token starts from is numbered by it, too.
        if isFirst || step != nil { try graph.reset(steps.counter(graph)) }
        let (scope, known) = (weights.scope(graph), try known(graph))
        let count = isFirst ? 1 : batch.parallel
        let (z, entropy) = try graph.part(Graph.stage) { try conditions(graph, known, count: count, isFirst: isFirst, scope) }
        let cfg = try cfg(graph, known, count: count)
        let embedded = try graph.part(Graph.head) {
            try head.embed(
                z: graph.reshape(z, [z.type.rows, z.type.columns]), entropy: entropy.map { try graph.reshape($0, [$0.count]) }, cfg: cfg,
                scope)
        }
        let start = try start(graph, known, count: count, isFirst: isFirst)
        guard step != nil else {
            let drawn = try draw(known, start: start, embedded: embedded, cfg: cfg, scope)
            let tokens = try stored(drawn, graph, count: count)
            let followed = try draft.map { draft in
                try graph.part(Graph.stage) { try follow(graph, draft, z: z, tokens: tokens, known: known, scope) }
            }
            let last = try accept(tokens, graph)
            if let draft, let followed {
                try graph.part(Graph.stage) { try propose(graph, draft, from: followed, last: last, known: known, scope) }
            }
            return embedded.shape
        }
        try steps.begin(start: start, embedded: embedded, graph)
        return embedded.shape
    }

    /// z [B, G, D] of the next tokens, and their entropy [B, G] where the head takes it.
    private func conditions(
        _ graph: Graph, _ known: Tensor, count: Int, isFirst: Bool, _ scope: ParameterScope
    ) throws -> (z: Tensor, entropy: Tensor?) {
        let (shape, conditions) = (stage.shape, batch.conditions)
        let front = try isFirst ? stage.front(graph.stored([conditions], in: Place.classes(conditions)), scope) : nil
        let (angles, offset) = (try stage.table(graph), isFirst ? 0 : shape.classTokens - 1)
        func last(_ rows: Tensor) throws -> Tensor {
            guard isFirst, shape.classTokens > 1 else { return rows }
            return try graph.slice(rows, axis: 1, (shape.classTokens - 1)..<shape.classTokens)
        }
        let needsEntropy = head.sigma != nil
        // Nothing is there yet that could tell what the token is.
        var entropy = try needsEntropy && isFirst ? graph.fill([conditions, 1], with: 1) : nil
        func takeEntropy(_ query: Tensor) throws {
            entropy = try graph.cachedEntropy(
                query: query, heads: shape.block.heads, keys: cache(graph, shape.entropyBlock).key, known: known, offset: offset,
                buffer: shape.classTokens, table: angles)
        }
        let shown = needsEntropy && !isFirst ? shape.entropyBlock : nil
        if let small = stage.small, let stageWeights {
            let (z, queries) = try graph.causalPass(
                small, tokens: sequence(graph), given: front, known: known, offset: offset,
                count: isFirst ? shape.classTokens : count, sequences: conditions,
                weights: graph.stored([stageWeights.count], in: stageWeights), table: angles,
                caches: graph.stored([caches.count], in: caches), places: stage.places(scope),
                ahead: isFirst ? 1 - shape.classTokens : 0, shown: shown)
            try queries.map(takeEntropy)
            return (try last(z), entropy)
        }
        var rows: Tensor
        if let front {
            rows = front
        } else {
            // With guidance both halves go on from the same tokens.
            rows = try stage.enter(graph.window(sequence(graph), from: known, offset: -1, count: count, sequences: conditions), scope)
        }
        for layer in 0..<shape.depth {
            rows = try shape.block.step(
                rows, cache: cache(graph, layer), known: known, offset: offset, table: angles, scope.scope("layers.\(layer)"),
                inspecting: { if layer == shown { try takeEntropy($0) } })
        }
        let places = try stage.places(scope).map {
            try graph.window(graph.reshape($0, [1, tokens, shape.embed]), from: known, count: count, sequences: conditions)
        }
        return (try stage.leave(last(rows), places: places, scope), entropy)
    }

    /// The tokens that the head draws behind those known, from the only step or from all of them in one launch.
    func draw(_ known: Tensor, start: Tensor, embedded: Tensor, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        let (images, tokens) = (batch.images, tokens)
        return try steps.draw(
            start: start, embedded: embedded, cfg: cfg, noise: { head.drawsInSteps ? try stepNoise($0) : nil },
            places: { try $0.windowRows(from: known, count: 1, sequences: images, length: tokens, images: images) },
            source: { try source($0, stream: Self.stepStream) }, scope)
    }
}
