import DriftGPU

/// The graphs that draw a batch of images by a head of several steps: from a condition to what the steps have in common, and the noise to
/// where they begin (`begin`); and a step, run as often as the head has steps (`step`).
struct ImageSteps {
    /// The form of a batch. L labels have G images each, which stand together.
    struct Form {
        let labels: Int
        let perLabel: Int
        let tokens: Int
        let tokenWidth: Int
        let isGuided: Bool

        /// [L G, R, C].
        var shape: [Int] { [labels * perLabel, tokens, tokenWidth] }
    }

    /// Computes the head's table, once for a set of weights.
    let preparation: Graph
    let begin: Graph
    let step: Graph
    /// What images start from [L G, R, C], a storage that all such graphs share.
    let noise: Tensor
    /// Strength of guidance [1], shared by all such graphs; nil without.
    let cfg: Tensor?
    /// Where the images [L G, R, C] are after the last step.
    let images: Storage
    let source: DrawingSource

    /// - Parameters:
    ///   - name: begins the name of the images' storage; all others are shared, since one drawing runs at a time.
    ///   - stream: of the steps' noise; its low 16 bits are the step's number.
    ///   - z: makes the conditions [n, M, D], n a divisor of L G; with guidance twice as many, those of no label last.
    init(
        _ head: any SteppedHead, _ weights: StoredWeights, _ form: Form, name: String = "image", stream: Int = 0x2020_0000,
        z: (Graph) throws -> Tensor
    ) throws {
        source = DrawingSource(loop: "image", labels: form.labels)
        let shape = form.shape
        let x = Storage(name + "_x", count: shape.reduce(1, *), grows: true)
        images = x

        let first = Graph()
        preparation = first
        let made = try first.part(Graph.head) { try head.table(weights.scope(first)) }
        let table = Storage("image_table_\(made.shape[0])x\(made.shape[1])", count: made.count)
        try first.place(made, in: table, at: 0)

        let opening = Graph()
        begin = opening
        try opening.reset(Counter(opening, name: "image_step"))
        noise = try opening.input("sample_noise", shape, grows: true)
        let condition = try z(opening)
        let common = try opening.part(Graph.head) { try head.common(z: condition, weights.scope(opening)) }
        let places = common.enumerated().map { Storage("image_common_\($0)", count: $1.count, grows: true) }
        for (tensor, place) in zip(common, places) { try opening.place(tensor, in: place, at: 0) }
        try opening.place(noise, in: x, at: 0)
        let velocity = Storage("image_velocity", count: x.count, grows: true)
        if head.keepsVelocity { try opening.place(opening.fill(shape, with: 0), in: velocity, at: 0) }

        let graph = Graph()
        step = graph
        let counter = try Counter(graph, name: "image_step")
        let strength = form.isGuided ? try graph.input("sample_cfg", [1]) : nil
        cfg = strength
        let other: Tensor
        if head.keepsVelocity {
            other = try graph.stored(shape, in: velocity)
        } else {
            let numbers = try source.numbers(stream, round: counter.value, graph)
            other = try graph.reshape(graph.randomNormal(Array(shape.dropFirst()), images: form.perLabel, of: numbers), shape)
        }
        let next = try graph.part(Graph.head) {
            try head.step(
                graph.stored(shape, in: x), common: zip(common, places).map { try graph.stored($0.shape, in: $1) },
                row: graph.selectRow(graph.stored(made.shape, in: table), counter), other: other, cfg: strength, weights.scope(graph))
        }
        // What a step writes must not be what it still reads.
        try graph.place(graph.copy(next.x), in: x, at: 0)
        if let kept = next.velocity { try graph.place(graph.copy(kept), in: velocity, at: 0) }
        try graph.advance(counter)
    }

    /// The images of conditions that lie in the stage's `ConditionStorage`.
    init(_ generator: Generator, _ head: any SteppedHead, _ weights: StoredWeights, _ batch: DrawingGraph.Batch) throws {
        guard let storage = generator.stage.storage(labels: batch.size.labels) else {
            throw GraphError("head \(head.kind): needs conditions, which the stage \(generator.stage.kind) does not keep")
        }
        let form = Form(
            labels: batch.size.labels, perLabel: batch.size.perLabel, tokens: generator.tokens, tokenWidth: generator.tokenWidth,
            isGuided: batch.isGuided)
        try self.init(head, weights, form) { graph in
            let z = try storage.features(batch.isMerged ? storage.merged : storage.z, in: graph)
            guard batch.isGuided else { return z }
            let other = try storage.features(storage.unconditionalZ, in: graph)
            return try graph.concat([z, graph.reshape(graph.repeatEach(other, times: form.labels), z.shape)], axis: 0)
        }
    }

    /// All graphs, in the order in which a drawing meets them.
    var all: [Graph] { [preparation, begin, step] }
}

/// Draws batches of one form in the steps of a head, several images of a sequence one after the other, without the host between them.
final class SteppedPass: DrawingPass {
    private let sequence: [ImageSteps]
    private let memory: DeviceMemory
    private let preparation: Executor
    private let program = Program()
    private var isPrepared = false

    /// The graphs of each image of the sequence, the one that is wanted last.
    init(_ sequence: [ImageSteps], steps: Int, _ memory: DeviceMemory) throws {
        guard let first = sequence.first else { throw GraphError("steps of a drawing: there is no image") }
        (self.sequence, self.memory, preparation) = (sequence, memory, try memory.executor(first.preparation))
        for image in sequence {
            try program.append(memory.executor(image.begin))
            try program.append(memory.executor(image.step), times: steps)
        }
    }

    func run(_ labels: [Int], firstImage: Int, cfg: Float, start: [Float], seed: UInt64) throws {
        if !isPrepared { try preparation.run() }
        isPrepared = true
        try sequence[0].source.write(labels, firstImage: firstImage, seed: seed, to: memory)
        if sequence[0].cfg != nil { try memory.write([cfg], to: Storage("sample_cfg", count: 1)) }
        try memory.write(start, to: Storage("sample_noise", count: start.count, grows: true))
        try program.run()
    }

    /// Those of the last image.
    func tokens() throws -> [Float] {
        let images = sequence[sequence.count - 1].images
        return try memory.read(Float.self, from: images, at: 0, count: images.count)
    }

    func reset() { isPrepared = false }
}
