import DriftFormats
import DriftGPU

/// The loop of images that are made from others of their class: round i makes image i of each sequence from those before it, in all steps of
/// the head, and the last is what was asked for. Every round starts from the same noise (TransDiff's MRAR).
final class MultiReferenceRounds: GenerationLoop {
    var encoder: LabelEncoder? { nil }
    var speculation: SpeculativeLoop? { nil }
    private let stage: MRARStage
    private let head: any SteppedHead
    private let context: SamplingContext
    private var passes: [DrawingGraph.Batch: SteppedPass] = [:]

    init(_ stage: MRARStage, _ head: any SteppedHead, _ context: SamplingContext) {
        (self.stage, self.head, self.context) = (stage, head, context)
    }

    func reset() {
        for pass in passes.values { pass.reset() }
    }

    func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws {
        guard speculation == nil else {
            throw ConfigurationError("speculative: the stage \(stage.kind) has no draft; leave --speculative out")
        }
    }

    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: DrawingNoise
    ) throws -> [Float] {
        let (memory, clock) = (context.memory, context.clock)
        let batch = DrawingGraph.Batch(.init(labels: labels.count, perLabel: images.count), isGuided: cfg != 1)
        let pass = try passes[batch] ?? clock.measure(.prepare) {
            try SteppedPass(Self.steps(stage, head, context.weights, batch.size, isGuided: batch.isGuided), steps: head.steps, memory)
        }
        passes[batch] = pass
        let start = clock.measure(.noise) { noise.values(0) }
        try clock.measure(.decode) {
            let spread = labels.flatMap { Array(repeating: Int32($0), count: images.count) }
            let halves = batch.isGuided ? 2 : 1
            try memory.write((0..<halves).flatMap { _ in spread }, to: Place.labels(halves * spread.count))
            let keeps = (0..<halves).flatMap { [Float](repeating: $0 == 0 ? 1 : 0, count: spread.count) }
            try memory.write(keeps, to: Place.keeps(keeps.count))
            try pass.run(labels, firstImage: images.lowerBound, cfg: cfg, start: start, seed: noise.seed)
            try memory.device.finish()
        }
        return try clock.measure(.readBack) { try pass.tokens() }
    }

    func finish() {}

    /// Where everything lies.
    private enum Place {
        /// Labels of the sequences [S], with guidance twice, and 0 where the condition is that of no label.
        static func labels(_ count: Int) -> Storage { Storage("mrar_labels", count: count, element: .int32, grows: true) }
        static func keeps(_ count: Int) -> Storage { Storage("mrar_keeps", count: count, grows: true) }
    }

    /// Streams of the rounds' noise; the low 16 bits are the head's step.
    private static func stream(_ round: Int) -> Int { 0x2021_0000 + round << 16 }

    /// The graphs of each round.
    static func steps(
        _ stage: MRARStage, _ head: any SteppedHead, _ weights: StoredWeights, _ size: DrawingGraph.Size, isGuided: Bool
    ) throws -> [ImageSteps] {
        let shape = stage.shape
        let form = ImageSteps.Form(
            labels: size.labels, perLabel: size.perLabel, tokens: shape.tokens, tokenWidth: shape.tokenWidth, isGuided: isGuided)
        let sequences = form.shape[0] * (isGuided ? 2 : 1)
        return try (0..<shape.images).reduce(into: [ImageSteps]()) { made, round in
            let before = made.map(\.images)
            let steps = try ImageSteps(head, weights, form, name: "mrar_\(round)", stream: stream(round)) { graph in
                let scope = weights.scope(graph)
                let earlier = try before.map { storage in
                    let images = try graph.stored(form.shape, in: storage)
                    return isGuided ? try graph.concat([images, images], axis: 0) : images
                }
                return try graph.part(Graph.stage) {
                    let embedding = try stage.embed(
                        graph.stored([sequences], in: Place.labels(sequences)),
                        uniform: graph.stored([sequences], in: Place.keeps(sequences)), dropProbability: 0.5, scope)
                    return try stage.place(stage.encode(embedding, after: earlier, scope), scope)
                }
            }
            made.append(steps)
        }
    }
}
