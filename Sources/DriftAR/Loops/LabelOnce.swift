import DriftFormats
import DriftGPU

/// The loop of generators that make an image at once: each distinct label goes through the stage once, then one pass of the head
/// an image, or its steps.
final class LabelOnce: GenerationLoop {
    let encoder: LabelEncoder?
    let speculation: SpeculativeLoop?
    private let generator: Generator
    private let context: SamplingContext
    private var passes: [DrawingGraph.Batch: any DrawingPass] = [:]

    init(_ generator: Generator, _ context: SamplingContext) {
        (self.generator, self.context) = (generator, context)
        encoder = generator.stage.encoder(context)
        speculation = generator.stage.speculation(context)
    }

    func reset() throws {
        encoder?.reset()
        try speculation?.reset()
        for pass in passes.values { pass.reset() }
    }

    func prepare(_ labels: [Int], cfg: Float, speculation settings: Speculation?) throws {
        if let settings {
            guard speculation != nil else {
                throw ConfigurationError("speculative: the stage \(generator.stage.kind) has no draft; leave --speculative out")
            }
            try settings.validate(tokens: generator.tokens)
        }
        if let encoder {
            let needsUnconditional = isGuided(cfg) && generator.head.guidesByCondition
            try context.clock.measure(.encode) {
                try encoder.encode(labels.map { $0 } + (needsUnconditional ? [nil] : []))
                try encoder.load(labels, withUnconditional: needsUnconditional)
            }
        }
        if let settings { try speculation?.propose(labels, settings) }
    }

    private func isGuided(_ cfg: Float) -> Bool { cfg != 1 }

    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation settings: Speculation?, noise: DrawingNoise
    ) throws -> [Float] {
        // Rounds differ only in their noise, and only the last one is shown: no other is decoded.
        let rounds = try settings.flatMap { try speculation?.rounds(labels, perLabel: images.count, $0) } ?? 1
        let clock = context.clock
        let batch = DrawingGraph.Batch(
            .init(labels: labels.count, perLabel: images.count), isGuided: isGuided(cfg) && generator.head.guidesByCondition,
            isMerged: settings != nil)
        let pass = try passes[batch] ?? clock.measure(.prepare) { try makePass(batch) }
        let values = clock.measure(.noise) { noise.values(rounds - 1) }
        try clock.measure(.decode) {
            try pass.run(labels, firstImage: images.lowerBound, cfg: cfg, start: values, seed: noise.seed)
            try context.memory.device.finish()
        }
        return try clock.measure(.readBack) { try pass.tokens() }
    }

    private func makePass(_ batch: DrawingGraph.Batch) throws -> any DrawingPass {
        let pass: any DrawingPass =
            if let head = generator.head as? any SteppedHead {
                try SteppedPass([ImageSteps(generator, head, context.weights, batch)], steps: head.steps, context.memory)
            } else {
                try SinglePass(DrawingGraph(generator, context.weights, batch), context.memory)
            }
        passes[batch] = pass
        return pass
    }

    /// The graphs that draw such a batch from conditions.
    static func graphs(_ generator: Generator, _ weights: StoredWeights, _ batch: DrawingGraph.Batch) throws -> [Graph] {
        if let head = generator.head as? any SteppedHead { return try ImageSteps(generator, head, weights, batch).all }
        return [try DrawingGraph(generator, weights, batch).graph]
    }

    func finish() throws { try context.clock.measure(.write) { try encoder?.save() } }
}

/// Draws batches of one form from conditions on the device.
protocol DrawingPass: AnyObject {
    /// Enqueues a batch. `start`: the noise that images start from.
    func run(_ labels: [Int], firstImage: Int, cfg: Float, start: [Float], seed: UInt64) throws
    /// The tokens of the batch, once it has run.
    func tokens() throws -> [Float]
    /// Forgets what belongs to weights that have changed.
    func reset()
}

/// In one graph.
private final class SinglePass: DrawingPass {
    private let graph: DrawingGraph
    private let executor: Executor

    init(_ graph: DrawingGraph, _ memory: DeviceMemory) throws { (self.graph, executor) = (graph, try memory.executor(graph.graph)) }

    func run(_ labels: [Int], firstImage: Int, cfg: Float, start: [Float], seed: UInt64) throws {
        if let input = graph.labels { try executor.write(labels.map(Int32.init), to: input) }
        for input in graph.inputs { try executor.write(input.values(labels.count, cfg), to: input.tensor) }
        try executor.write(start, to: graph.noise)
        try executor.run()
    }

    func tokens() throws -> [Float] { try executor.read(graph.tokens) }
    func reset() {}
}
