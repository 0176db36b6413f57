import DriftGPU

/// The graphs that draw a batch of images by a head of several steps: from conditions to what the steps have in common, and the noise to
/// where they begin (`begin`); a step, run as often as the head has steps (`step`); and the images (`end`).
struct ImageSteps {
    /// Computes the head's table, once for a set of weights.
    let preparation: Graph
    let begin: Graph
    let step: Graph
    let end: Graph
    /// What images start from [L G, R, C].
    let noise: Tensor
    /// Strength of guidance [1]; nil without.
    let cfg: Tensor?
    /// The images [L G, R, C].
    let tokens: Tensor
    let source: DrawingSource

    /// Of the steps' noise; the round in its low 16 bits is the step.
    private static let stream = 0x2020_0000

    init(_ generator: Generator, _ head: any SteppedHead, _ weights: StoredWeights, _ batch: DrawingGraph.Batch) throws {
        guard let storage = generator.stage.storage(labels: batch.size.labels) else {
            throw GraphError("head \(head.kind): needs conditions, which the stage \(generator.stage.kind) does not keep")
        }
        let size = batch.size
        source = DrawingSource(loop: "image", labels: size.labels)
        let shape = [size.labels * size.perLabel, generator.tokens, generator.tokenWidth]
        let x = Storage("image_x", count: shape.reduce(1, *), grows: true)

        let first = Graph()
        preparation = first
        let made = try first.part(Graph.head) { try head.table(weights.scope(first)) }
        let table = Storage("image_table_\(made.shape[0])x\(made.shape[1])", count: made.count)
        try first.place(made, in: table, at: 0)

        begin = Graph()
        try begin.reset(Self.counter(begin))
        noise = try begin.input("sample_noise", shape, grows: true)
        let common = try Self.common(begin, head, weights, storage, batch)
        let places = common.enumerated().map { Storage("image_common_\($0)", count: $1.count, grows: true) }
        for (tensor, place) in zip(common, places) { try begin.place(tensor, in: place, at: 0) }
        try begin.place(noise, in: x, at: 0)

        step = Graph()
        let (graph, counter) = (step, try Self.counter(step))
        cfg = batch.isGuided ? try graph.input("sample_cfg", [1]) : nil
        let numbers = try source.numbers(Self.stream, round: counter.value, graph)
        let drawn = try graph.randomNormal(Array(shape.dropFirst()), images: size.perLabel, of: numbers)
        let (stepNoise, strength) = (try graph.reshape(drawn, shape), cfg)
        let next = try graph.part(Graph.head) {
            try head.step(
                graph.stored(shape, in: x), common: zip(common, places).map { try graph.stored($0.shape, in: $1) },
                row: graph.selectRow(graph.stored(made.shape, in: table), counter), noise: stepNoise, cfg: strength,
                weights.scope(graph))
        }
        // What a step writes must not be what it still reads.
        try graph.place(graph.copy(next), in: x, at: 0)
        try graph.advance(counter)

        end = Graph()
        tokens = try end.copy(end.stored(shape, in: x))
        end.output(tokens)
    }

    private static func counter(_ graph: Graph) throws -> Counter { try Counter(graph, name: "image_step") }

    /// What the steps have in common of the conditions, with guidance of each label and then, as often, of no label.
    private static func common(
        _ graph: Graph, _ head: any SteppedHead, _ weights: StoredWeights, _ storage: ConditionStorage, _ batch: DrawingGraph.Batch
    ) throws -> [Tensor] {
        var z = try storage.features(batch.isMerged ? storage.merged : storage.z, in: graph)
        if batch.isGuided {
            let other = try storage.features(storage.unconditionalZ, in: graph)
            let spread = try graph.reshape(graph.repeatEach(other, times: batch.size.labels), z.shape)
            z = try graph.concat([z, spread], axis: 0)
        }
        return try graph.part(Graph.head) { try head.common(z: z, weights.scope(graph)) }
    }

    /// All graphs, in the order in which a drawing meets them.
    var all: [Graph] { [preparation, begin, step, end] }
}
