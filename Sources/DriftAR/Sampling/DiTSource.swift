import DriftFormats
import DriftGPU

/// Draws from DiT: one pass an image, guided or not, since the strength of guidance is an input of the model.
final class DiTSource: ImageSource {
    private let model: DiTModel
    private let memory: DeviceMemory
    private let weights: String
    private let clock: SamplingClock
    private var passes: [Batch: Pass] = [:]

    private struct Batch: Hashable {
        let labels: Int
        let perLabel: Int
    }

    private struct Pass {
        let inputs: Inputs
        let executor: Executor
    }

    private struct Inputs {
        let graph: Graph
        let labels: Tensor
        let guidance: Tensor
        let noise: Tensor
        let tokens: Tensor
    }

    init(_ model: DiTModel, memory: DeviceMemory, weights: String, clock: SamplingClock) {
        self.model = model
        self.memory = memory
        self.weights = weights
        self.clock = clock
    }

    func reset() {}
    func finish() {}

    func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws {
        guard speculation == nil else {
            throw ConfigurationError("speculative: the model dit has no draft; leave --speculative out")
        }
    }

    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: (Int) -> [Float]
    ) throws -> [Float] {
        let batch = Batch(labels: labels.count, perLabel: images.count)
        let pass = try passes[batch] ?? clock.measure(.prepare) { try makePass(batch) }
        let values = clock.measure(.noise) { noise(0) }
        let (executor, inputs) = (pass.executor, pass.inputs)
        try clock.measure(.decode) {
            try executor.write(labels.map(Int32.init), to: inputs.labels)
            try executor.write(
                GuidanceFeatures.values([Float](repeating: cfg, count: labels.count)), to: inputs.guidance)
            try executor.write(values, to: inputs.noise)
            try executor.run()
            try memory.device.finish()
        }
        return try clock.measure(.readBack) { try executor.read(inputs.tokens) }
    }

    private func makePass(_ batch: Batch) throws -> Pass {
        let inputs = try Self.inputs(model, weights: weights, labels: batch.labels, perLabel: batch.perLabel)
        let pass = Pass(inputs: inputs, executor: try memory.executor(inputs.graph))
        passes[batch] = pass
        return pass
    }

    /// The graph that draws a batch.
    static func graph(_ model: DiTModel, weights: String, labels: Int, perLabel: Int) throws -> Graph {
        try inputs(model, weights: weights, labels: labels, perLabel: perLabel).graph
    }

    private static func inputs(_ model: DiTModel, weights: String, labels: Int, perLabel: Int) throws -> Inputs {
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: weights)
        let chosen = try graph.input("sample_labels", [labels], .int32, grows: true)
        let guidance = try graph.input("sample_guidance", [labels, GuidanceFeatures.count], grows: true)
        let noise = try graph.input("sample_noise", [labels * perLabel, model.tokens, model.tokenWidth], grows: true)
        let tokens = try model(noise: noise, labels: chosen, guidance: guidance, scope)
        graph.output(tokens)
        return Inputs(graph: graph, labels: chosen, guidance: guidance, noise: noise, tokens: tokens)
    }
}

extension DiTModel {
    public func source(memory: DeviceMemory, weights: String, clock: SamplingClock) -> any ImageSource {
        DiTSource(self, memory: memory, weights: weights, clock: clock)
    }

    public func sourceGraphs(_ batches: [(labels: Int, perLabel: Int)], weights: String) throws -> [Graph] {
        try batches.map { try DiTSource.graph(self, weights: weights, labels: $0.labels, perLabel: $0.perLabel) }
    }
}
