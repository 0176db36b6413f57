import DriftGPU

/// The steps of a token head in the graphs of a loop. Where the head has one step, or all of its steps are one launch, the graph that
/// makes the conditions draws the tokens, too (`draw`). Else it leaves what the steps have in common and what they start from (`begin`),
/// another graph is run for each step (`step`), and a last one finds the tokens (`result`).
struct HeadSteps {
    let head: any TokenHead
    /// What the loop is called: its storages' names begin so.
    let loop: String
    /// n, tokens drawn together, of C values.
    let count: Int
    let width: Int
    /// R, tokens of an image, and the images of a label.
    let tokens: Int
    let imagesPerLabel: Int
    let temperature: Float
    let prepared: Prepared?
    /// Whether one graph draws the tokens.
    let isOneGraph: Bool

    /// What the head computes once for a set of weights.
    struct Prepared {
        /// What computes it.
        let graph: Graph
        /// Of its `table`, and of its `packed` weights.
        var table: Storage?
        var weights: Storage?
    }

    /// `isGiven`: noise comes from storages that somebody has filled, and so is there for each step. Throws where the head's steps do not
    /// go from tokens to tokens.
    init(
        _ head: any TokenHead, loop: String, count: Int, width: Int, tokens: Int, imagesPerLabel: Int, temperature: Float,
        isGiven: Bool, _ prepared: Prepared?
    ) throws {
        guard head.steps == 1 || head.start.width == width else {
            throw GraphError("head \(head.kind): tokens of several steps start from \(width) values, not \(head.start.width)")
        }
        (self.head, self.loop, self.count, self.width, self.prepared) = (head, loop, count, width, prepared)
        (self.tokens, self.imagesPerLabel, self.temperature) = (tokens, imagesPerLabel, temperature)
        isOneGraph = head.steps == 1 || !isGiven && prepared?.weights != nil
    }

    /// What the head's steps take that no token has an influence on; nil where there is nothing.
    static func prepare(_ head: any TokenHead, _ weights: StoredWeights) throws -> Prepared? {
        let graph = Graph()
        var prepared = Prepared(graph: graph)
        let scope = weights.scope(graph)
        if let table = try graph.part(Graph.head, { try head.table(scope) }) {
            let (rows, width) = (table.shape[0], table.shape[1])
            let storage = Storage("head_table_\(rows)x\(width)", count: rows * width)
            try graph.place(table, in: storage, at: 0)
            prepared.table = storage
        }
        if let packed = try graph.part(Graph.head, { try head.packed(scope) }) {
            let storage = Storage("head_weights_\(packed.count)", count: packed.count)
            try graph.place(packed, in: storage, at: 0)
            prepared.weights = storage
        }
        return prepared.table == nil && prepared.weights == nil ? nil : prepared
    }

    /// Which step it is.
    func counter(_ graph: Graph) throws -> Counter { try Counter(graph, name: loop + "_step") }

    private var x: Storage { Storage(loop + "_x", count: count * width, grows: true) }
    private var velocity: Storage { Storage(loop + "_velocity", count: count * width, grows: true) }
    private func common(_ count: Int) -> Storage { Storage(loop + "_embedded", count: count, grows: true) }

    private func table(_ graph: Graph) throws -> Tensor? {
        try prepared?.table.map { try graph.stored([head.steps, $0.count / head.steps], in: $0) }
    }
    private func row(_ graph: Graph) throws -> Tensor? { try table(graph).map { try graph.selectRow($0, counter(graph)) } }
    private func packed(_ graph: Graph) throws -> Tensor? { try prepared?.weights.map { try graph.stored([$0.count], in: $0) } }

    /// The tokens [n, C] from the only step, which takes `noise`, or from all of them in one launch, which draws its own: of `source`,
    /// for tokens that stand at `places` among all.
    func draw(
        start: Tensor, embedded: Tensor, cfg: Tensor?, noise: (Graph) throws -> Tensor?, places: (Graph) throws -> Tensor,
        source: (Graph) throws -> NoiseSource, _ scope: ParameterScope
    ) throws -> Tensor {
        let graph = scope.graph
        return try graph.part(Graph.head) {
            if head.steps > 1, let table = try table(graph), let weights = try packed(graph) {
                return try head.steps(
                    TokenDrawing(
                        x: start, embedded: embedded, table: table, weights: weights, places: places(graph), noise: source(graph),
                        tokens: tokens, imagesPerLabel: imagesPerLabel, cfg: cfg, temperature: temperature),
                    scope)
            }
            return try head.step(
                TokenStep(
                    x: start, embedded: embedded, row: row(graph), weights: packed(graph), other: noise(graph), cfg: cfg,
                    temperature: temperature),
                scope
            ).x
        }
    }

    /// Leaves what the steps start from [n, C] and have in common.
    func begin(start: Tensor, embedded: Tensor, _ graph: Graph) throws {
        try graph.place(embedded, in: common(embedded.count), at: 0)
        try graph.place(start, in: x, at: 0)
        if head.keepsVelocity { try graph.place(graph.fill([count, width], with: 0), in: velocity, at: 0) }
    }

    /// A step. `embedded`: the shape of what `begin` left.
    func step(embedded: [Int], cfg: Tensor?, noise: Tensor?, _ scope: ParameterScope) throws {
        let graph = scope.graph
        let made = try graph.part(Graph.head) {
            try head.step(
                TokenStep(
                    x: result(graph), embedded: graph.stored(embedded, in: common(embedded.reduce(1, *))), row: row(graph),
                    other: head.keepsVelocity ? graph.stored([count, width], in: velocity) : noise, cfg: cfg, temperature: temperature),
                scope)
        }
        // What a step writes must not be what it still reads.
        try graph.place(graph.copy(made.x), in: x, at: 0)
        if let kept = made.velocity { try graph.place(graph.copy(kept), in: velocity, at: 0) }
        try graph.advance(counter(graph))
    }

    /// The tokens behind the last step [n, C].
    func result(_ graph: Graph) throws -> Tensor { try graph.stored([count, width], in: x) }
}
