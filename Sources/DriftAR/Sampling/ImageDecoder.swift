import DriftGPU

/// Turns conditions and noise into image tokens: one decoder pass, with guidance one pass over both halves.
final class ImageDecoder {
    private let model: DriftARModel
    private let memory: DeviceMemory
    private let weights: String
    private let clock: SamplingClock
    private var decoders: [Batch: Decoder] = [:]

    /// The form of a batch.
    struct Batch: Hashable {
        let labels: Int
        let perLabel: Int
        let isGuided: Bool
        /// Whether the draft's accepted features take the place of z.
        let isMerged: Bool
    }

    private struct Decoder {
        let noise: Tensor
        let cfg: Tensor
        let tokens: Tensor
        let executor: Executor
    }

    init(_ model: DriftARModel, memory: DeviceMemory, weights: String, clock: SamplingClock) {
        self.model = model
        self.memory = memory
        self.weights = weights
        self.clock = clock
    }

    /// Writes the conditions of a batch's labels to the device; with guidance also the unconditional one.
    func load(_ conditions: [Condition], unconditional: Condition?) throws {
        let storage = ConditionStorage(labels: conditions.count, model.shape)
        try memory.write(conditions.flatMap(\.z), to: storage.z)
        try memory.write(conditions.flatMap(\.entropy), to: storage.entropy)
        if let unconditional {
            try memory.write(unconditional.z, to: storage.unconditionalZ)
            try memory.write(unconditional.entropy, to: storage.unconditionalEntropy)
        }
    }

    /// Tokens [L G, R, C] of the conditions loaded, from noise of the same shape.
    func decode(_ batch: Batch, cfg: Float, noise: [Float]) throws -> [Float] {
        let decoder = try decoders[batch] ?? clock.measure(.prepare) { try makeDecoder(batch) }
        let executor = decoder.executor
        try clock.measure(.decode) {
            if batch.isGuided { try executor.write([cfg], to: decoder.cfg) }
            try executor.write(noise, to: decoder.noise)
            try executor.run()
            try memory.device.finish()
        }
        return try clock.measure(.readBack) { try executor.read(decoder.tokens) }
    }

    private func makeDecoder(_ batch: Batch) throws -> Decoder {
        let inputs = try Self.graph(model, weights: weights, batch)
        let decoder = Decoder(
            noise: inputs.noise, cfg: inputs.cfg, tokens: inputs.tokens, executor: try memory.executor(inputs.graph))
        decoders[batch] = decoder
        return decoder
    }

    /// The graph that draws a batch from the conditions in its `ConditionStorage`.
    static func graph(
        _ model: DriftARModel, weights: String, _ batch: Batch
    ) throws -> (graph: Graph, noise: Tensor, cfg: Tensor, tokens: Tensor) {
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: weights)
        let shape = model.shape
        let storage = ConditionStorage(labels: batch.labels, shape)
        let z = try storage.features(storage.z, in: graph)
        let entropy = try storage.map(storage.entropy, in: graph)
        let noise = try graph.input(
            "sample_noise", [batch.labels * batch.perLabel, shape.tokens, shape.tokenWidth], grows: true)
        let cfg = try graph.input("sample_cfg", [1])
        let merged = batch.isMerged ? try storage.features(storage.merged, in: graph) : nil
        let tokens: Tensor
        if batch.isGuided {
            // As the reference: under guidance the merged features shape the prior alone.
            tokens = try model.generateGuided(
                token: merged.map { try scope.linear($0, "enc_to_token_proj") }, z: z, entropy: entropy,
                unconditional: (
                    storage.features(storage.unconditionalZ, in: graph),
                    storage.map(storage.unconditionalEntropy, in: graph)
                ), noise: noise, cfg: cfg, scope)
        } else {
            tokens = try model.generate(z: merged ?? z, entropy: entropy, noise: noise, scope)
        }
        graph.output(tokens)
        return (graph, noise, cfg, tokens)
    }
}
