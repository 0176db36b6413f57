import DriftGPU

/// Draws from Drift-AR: each distinct label goes through the encoder once, then one decoder pass an image, whose batch is twice
/// as large with guidance.
final class DriftARSource: ImageSource {
    let encoder: LabelEncoder
    let loop: SpeculativeLoop
    private let decoder: ImageDecoder
    private let clock: SamplingClock
    private let tokens: Int

    init(_ model: DriftARModel, memory: DeviceMemory, weights: String, clock: SamplingClock) {
        self.clock = clock
        tokens = model.tokens
        encoder = LabelEncoder(model, memory: memory, weights: weights, clock: clock)
        decoder = ImageDecoder(model, memory: memory, weights: weights, clock: clock)
        loop = SpeculativeLoop(model, memory: memory, weights: weights, clock: clock)
    }

    func reset() throws {
        encoder.reset()
        try loop.reset()
    }

    func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws {
        try speculation?.validate(tokens: tokens)
        let isGuided = cfg != 1
        try clock.measure(.encode) {
            try encoder.encode(labels.map { $0 } + (isGuided ? [nil] : []))
            try decoder.load(
                labels.map { try encoder.condition($0) }, unconditional: isGuided ? encoder.condition(nil) : nil)
        }
        if let speculation { try loop.propose(labels, speculation) }
    }

    func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: (Int) -> [Float]
    ) throws -> [Float] {
        // Rounds differ only in their noise, and only the last one is shown: no other is decoded.
        let last = try speculation.map { try loop.rounds(labels, perLabel: images.count, $0) - 1 } ?? 0
        let batch = ImageDecoder.Batch(
            labels: labels.count, perLabel: images.count, isGuided: cfg != 1, isMerged: speculation != nil)
        return try decoder.decode(batch, cfg: cfg, noise: clock.measure(.noise) { noise(last) })
    }

    func finish() throws { try clock.measure(.write) { try encoder.save() } }
}

extension DriftARModel {
    public func source(memory: DeviceMemory, weights: String, clock: SamplingClock) -> any ImageSource {
        DriftARSource(self, memory: memory, weights: weights, clock: clock)
    }

    public func sourceGraphs(_ batches: [(labels: Int, perLabel: Int)], weights: String) throws -> [Graph] {
        let encoders = Set(batches.flatMap { Sampler.parts(of: $0.labels, limit: LabelEncoder.labelLimit) })
        return try encoders.map { try LabelEncoder.graph(self, weights: weights, labels: $0).graph }
            + batches.map {
                try ImageDecoder.graph(
                    self, weights: weights,
                    ImageDecoder.Batch(labels: $0.labels, perLabel: $0.perLabel, isGuided: false, isMerged: false)
                ).graph
            }
    }

    public var sourceStorages: [Storage] { [SpeculativeLoop.tracker] }
}
