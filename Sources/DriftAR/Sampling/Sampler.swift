import DriftData
import DriftFormats
import DriftGPU
import DriftReport
import Foundation

/// Draws images from a model.
///
/// The noise of an image depends on (seed, label, number of the image) alone, so the same picture comes out whatever else
/// is drawn in the same run, and in whatever batches. Only the rounds of an iterative speculative loop depend on what came
/// before.
public final class Sampler {
    public let model: Generator
    public let memory: DeviceMemory
    /// Where the time went.
    public let clock = SamplingClock()
    private let batchLimit: Int
    private let generation: any GenerationLoop

    /// `weights`: the flat buffer to sample from, `ema` or `parameters`. `batchLimit`: most images in one decoder pass.
    public init(_ model: Generator, memory: DeviceMemory, weights: String = "ema", batchLimit: Int = 256) {
        self.model = model
        self.memory = memory
        self.batchLimit = max(1, batchLimit)
        generation = model.loop(SamplingContext(StoredWeights(model.layout, buffer: weights), memory: memory, clock: clock))
    }

    /// Forgets the encoded labels and what the speculative loop has seen; to be called when the weights have changed.
    public func reset() throws { try generation.reset() }

    /// Forgets the encoded labels: the next image of each costs what its first one did. What a loop computes once for the weights stays.
    public func forgetLabels() { generation.encoder?.reset() }

    /// Keeps the conditions of labels across runs in a file. Throws when the file belongs to other weights or another device,
    /// or is damaged, and where the model has no encoder.
    public func cacheLabels(in place: LabelCache.Place) throws {
        guard let encoder = generation.encoder else {
            throw ConfigurationError("label-cache: the model has no encoder whose results could be kept; leave it out")
        }
        try clock.measure(.encode) { try encoder.use(place) }
    }

    /// Labels that went through the encoder, and those that came from the cache's file.
    public var labelCounts: (encoded: Int, read: Int) { generation.encoder?.counts ?? (0, 0) }

    /// What the speculative loop reports of the batches drawn with it since the last `reset`.
    public var speculativeFigures: SpeculativeFigures { generation.speculation?.figures ?? SpeculativeFigures() }

    /// What passes over tokens have drawn since the last `reset`; nil where the model makes none.
    public var decodingFigures: DecodingFigures? { generation.decoding }

    /// The speculative loop, where the model has a draft.
    package var loop: SpeculativeLoop? { generation.speculation }

    /// Draws `perLabel` images of each label, label by label: tokens [labels.count * perLabel, R, C]. `images`: draws only the images of each
    /// label with these numbers. `cfg` 1 is no
    /// guidance; otherwise unconditional + cfg (conditional - unconditional), both from the same noise. DiT takes `cfg` as an
    /// input, which means what its training made of it. With `speculation` the draft's accepted features take the place of z.
    public func tokens(
        labels: [Int], perLabel: Int, images: Range<Int>? = nil, cfg: Float = 1, seed: UInt64, speculation: Speculation? = nil
    ) throws -> [Float] {
        try tokens(labels: labels, perLabel: perLabel, images: images, cfg: cfg, seed: seed, speculation: speculation) {
            self.noise($0, images: $1, round: $2, seed: seed)
        }
    }

    /// The same from the noise that `noise` gives for labels, the images of each, and the round: [labels * images, R, C]. `seed`
    /// is that of what the device draws.
    package func tokens(
        labels: [Int], perLabel: Int, images: Range<Int>? = nil, cfg: Float, seed: UInt64 = 0, speculation: Speculation? = nil,
        noise: ([Int], Range<Int>, Int) -> [Float]
    ) throws -> [Float] {
        if let wrong = labels.first(where: { $0 < 0 || $0 >= model.classes }) {
            throw ConfigurationError("label \(wrong): the model has the classes 0 to \(model.classes - 1)")
        }
        let chosen = images ?? 0..<perLabel
        guard !labels.isEmpty, !chosen.isEmpty else { return [] }
        guard cfg.isFinite else { throw ConfigurationError("cfg \(cfg): must be a number") }
        let values = Double(model.tokens) * Double(model.tokenWidth)
        guard Double(labels.count) * Double(perLabel) * values <= Double(Int32.max) else {
            throw ConfigurationError(
                "per-label \(perLabel): too many images to hold at once; draw fewer, several times with other seeds")
        }
        var result: [Float] = []
        result.reserveCapacity(labels.count * chosen.count * model.tokens * model.tokenWidth)
        let labelsAtOnce = min(labels.count, max(1, batchLimit / chosen.count))
        for start in stride(from: 0, to: labels.count, by: labelsAtOnce) {
            let part = Array(labels[start..<min(start + labelsAtOnce, labels.count)])
            try generation.prepare(part, cfg: cfg, speculation: speculation)
            for first in stride(from: chosen.lowerBound, to: chosen.upperBound, by: batchLimit) {
                let images = first..<min(first + batchLimit, chosen.upperBound)
                result += try withoutActuallyEscaping(noise) { noise in
                    try generation.draw(
                        part, images: images, cfg: cfg, speculation: speculation,
                        noise: DrawingNoise(seed: seed) { noise(part, images, $0) })
                }
            }
        }
        try generation.finish()
        return result
    }

    /// z [R, D] and entropy [R] of a label; nil is the unconditional one.
    package func condition(_ label: Int?) throws -> LabelCondition {
        guard let encoder = generation.encoder else { throw GraphError("label \(label ?? -1): the model has no encoder") }
        return try encoder.condition(label)
    }

    static let stream: UInt32 = 0x2004_0000

    /// Standard normal numbers [labels.count * images.count, R, C]. `Graph.randomNormal(_:images:of:)` draws the same on the device, up
    /// to the last bits.
    func noise(_ labels: [Int], images: Range<Int>, round: Int, seed: UInt64) -> [Float] {
        let random = Philox(seed: seed)
        let size = model.tokens * model.tokenWidth
        let stream = Self.stream + UInt32(truncatingIfNeeded: round & 0xFFFF)
        let count = labels.count * images.count
        return [Float](unsafeUninitializedCapacity: count * size) { buffer, written in
            let values = SharedBuffer(buffer)
            // Each number depends on its place alone.
            DispatchQueue.concurrentPerform(iterations: count) { item in
                let (label, image) = (labels[item / images.count], images.lowerBound + item % images.count)
                for element in 0..<size {
                    let words = random.words(
                        UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: image),
                        UInt32(truncatingIfNeeded: label), stream)
                    values.buffer[item * size + element] = Float(BoxMuller.normal(words[0], words[1]))
                }
            }
            written = count * size
        }
    }
}
