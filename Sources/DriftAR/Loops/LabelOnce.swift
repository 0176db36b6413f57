import DriftFormats
import DriftGPU

/// The loop of generators that make an image at once: each distinct label goes through the stage once, then one pass of the head
/// an image.
final class LabelOnce: GenerationLoop {
    let encoder: LabelEncoder?
    let speculation: SpeculativeLoop?
    private let generator: Generator
    private let context: SamplingContext
    private var passes: [DrawingGraph.Batch: Pass] = [:]

    private struct Pass {
        let graph: DrawingGraph
        let executor: Executor
    }

    init(_ generator: Generator, _ context: SamplingContext) {
        (self.generator, self.context) = (generator, context)
        encoder = generator.stage.encoder(context)
        speculation = generator.stage.speculation(context)
    }

    func reset() throws {
        encoder?.reset()
        try speculation?.reset()
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
        let (graph, executor) = (pass.graph, pass.executor)
        try clock.measure(.decode) {
            if let input = graph.labels { try executor.write(labels.map(Int32.init), to: input) }
            for input in graph.inputs { try executor.write(input.values(labels.count, cfg), to: input.tensor) }
            try executor.write(values, to: graph.noise)
            try executor.run()
            try context.memory.device.finish()
        }
        return try clock.measure(.readBack) { try executor.read(graph.tokens) }
    }

    private func makePass(_ batch: DrawingGraph.Batch) throws -> Pass {
        let graph = try DrawingGraph(generator, context.weights, batch)
        let pass = Pass(graph: graph, executor: try context.memory.executor(graph.graph))
        passes[batch] = pass
        return pass
    }

    func finish() throws { try context.clock.measure(.write) { try encoder?.save() } }
}
