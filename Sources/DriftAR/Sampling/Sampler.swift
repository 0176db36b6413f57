import DriftGPU

/// Draws images from a Drift-AR model: each distinct label goes through the encoder once, then one decoder pass an image
/// (two with guidance).
///
/// The noise of an image depends on (seed, label, number of the image) alone, so the same picture comes out whatever else
/// is drawn in the same run, and in whatever batches.
public final class Sampler {
    public let model: DriftARModel
    public let memory: DeviceMemory
    private let weights: String
    private let batchLimit: Int
    /// Encoders by the number of labels they take.
    private var encoders: [Int: Encoder] = [:]
    private var decoders: [Batch: Decoder] = [:]
    private var conditions: [Int?: (z: [Float], entropy: [Float])] = [:]

    struct Batch: Hashable {
        let labels: Int
        let perLabel: Int
        let isGuided: Bool
    }

    private struct Encoder {
        let labels: Tensor
        let drop: Tensor
        let z: Tensor
        let entropy: Tensor
        let executor: Executor
    }

    private struct Decoder {
        let z: Tensor
        let entropy: Tensor
        let unconditional: (z: Tensor, entropy: Tensor)?
        let noise: Tensor
        let cfg: Tensor
        let tokens: Tensor
        let executor: Executor
    }

    /// `weights`: the flat buffer to sample from, `ema` or `parameters`. `batchLimit`: most images in one decoder pass.
    public init(_ model: DriftARModel, memory: DeviceMemory, weights: String = "ema", batchLimit: Int = 256) {
        self.model = model
        self.memory = memory
        self.weights = weights
        self.batchLimit = max(1, batchLimit)
    }

    /// Forgets the encoded labels; to be called when the weights have changed.
    public func reset() { conditions = [:] }

    /// `perLabel` images of each label, labels in the order given: tokens [labels.count * perLabel, R, C]. `cfg` 1 is no
    /// guidance; otherwise unconditional + cfg (conditional - unconditional), both from the same noise.
    public func tokens(labels: [Int], perLabel: Int, cfg: Float = 1, seed: UInt64) throws -> [Float] {
        try tokens(labels: labels, perLabel: perLabel, cfg: cfg) { self.noise($0, images: $1, seed: seed) }
    }

    /// The same from the noise that `noise` gives for labels and the images of each: [labels * images, R, C].
    package func tokens(
        labels: [Int], perLabel: Int, cfg: Float, noise: ([Int], Range<Int>) -> [Float]
    ) throws -> [Float] {
        if let wrong = labels.first(where: { $0 < 0 || $0 >= model.shape.classes }) {
            throw ConfigurationError("label \(wrong): the model has the classes 0 to \(model.shape.classes - 1)")
        }
        guard !labels.isEmpty, perLabel > 0 else { return [] }
        guard cfg.isFinite else { throw ConfigurationError("cfg \(cfg): must be a number") }
        let values = Double(model.shape.tokens) * Double(model.shape.tokenWidth)
        guard Double(labels.count) * Double(perLabel) * values <= Double(Int32.max) else {
            throw ConfigurationError(
                "per-label \(perLabel): too many images to hold at once; draw fewer, several times with other seeds")
        }
        let isGuided = cfg != 1
        var result: [Float] = []
        result.reserveCapacity(labels.count * perLabel * model.shape.tokens * model.shape.tokenWidth)
        let labelsAtOnce = min(labels.count, max(1, batchLimit / perLabel))
        for start in stride(from: 0, to: labels.count, by: labelsAtOnce) {
            let part = Array(labels[start..<min(start + labelsAtOnce, labels.count)])
            try encode(part.map { $0 } + (isGuided ? [nil] : []))
            for first in stride(from: 0, to: perLabel, by: batchLimit) {
                let count = min(batchLimit, perLabel - first)
                let images = first..<(first + count)
                result += try decode(part, images: images, cfg: cfg, noise: noise(part, images))
            }
        }
        return result
    }

    /// z [R, D] and entropy [R] of a label; nil is the unconditional one.
    package func condition(_ label: Int?) throws -> (z: [Float], entropy: [Float]) {
        try encode([label])
        return conditions[label] ?? ([], [])
    }

    /// Encodes those labels that have not been encoded yet; nil is the unconditional one.
    private func encode(_ labels: [Int?]) throws {
        var missing: [Int?] = []
        for label in labels where conditions[label] == nil && !missing.contains(label) { missing.append(label) }
        for start in stride(from: 0, to: missing.count, by: Self.labelLimit) {
            let part = Array(missing[start..<min(start + Self.labelLimit, missing.count)])
            let encoder = try encoders[part.count] ?? makeEncoder(part.count)
            let executor = encoder.executor
            try executor.write(part.map { Int32($0 ?? 0) }, to: encoder.labels)
            try executor.write(part.map { $0 == nil ? Float(0) : 1 }, to: encoder.drop)
            try executor.run()
            let (zs, entropies) = (try executor.read(encoder.z), try executor.read(encoder.entropy))
            let (zSize, tokens) = (model.shape.tokens * model.shape.embed, model.shape.tokens)
            for (row, label) in part.enumerated() {
                conditions[label] = (
                    Array(zs[(row * zSize)..<((row + 1) * zSize)]),
                    Array(entropies[(row * tokens)..<((row + 1) * tokens)])
                )
            }
        }
    }

    /// Most labels in one encoder pass; more are encoded in several, so that few graphs serve any number.
    static let labelLimit = 16

    private func makeEncoder(_ count: Int) throws -> Encoder {
        let inputs = try Self.encoderGraph(model, weights: weights, labels: count)
        let encoder = Encoder(
            labels: inputs.labels, drop: inputs.drop, z: inputs.z, entropy: inputs.entropy,
            executor: try executor(inputs.graph))
        encoders[count] = encoder
        return encoder
    }

    /// The graph that encodes `count` labels; an entry of `drop` below 1/2 makes its label the unconditional one.
    static func encoderGraph(
        _ model: DriftARModel, weights: String, labels count: Int
    ) throws -> (graph: Graph, labels: Tensor, drop: Tensor, z: Tensor, entropy: Tensor) {
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: weights)
        // Names carry the count: storages are shared by name.
        let labels = try graph.input("sample_labels_\(count)", [count], .int32)
        let drop = try graph.input("sample_drop_\(count)", [count])
        let (z, entropy) = try model.encode(
            model.embed(labels, dropUniform: drop, dropProbability: 0.5, scope), scope)
        graph.output(z)
        graph.output(entropy)
        return (graph, labels, drop, z, entropy)
    }

    private func executor(_ graph: Graph) throws -> Executor {
        let device = memory.device
        return try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: memory)
    }

    private func decode(_ labels: [Int], images: Range<Int>, cfg: Float, noise: [Float]) throws -> [Float] {
        let batch = Batch(labels: labels.count, perLabel: images.count, isGuided: cfg != 1)
        let decoder = try decoders[batch] ?? makeDecoder(batch)
        let executor = decoder.executor
        try executor.write(labels.flatMap { conditions[$0]?.z ?? [] }, to: decoder.z)
        try executor.write(labels.flatMap { conditions[$0]?.entropy ?? [] }, to: decoder.entropy)
        if let unconditional = decoder.unconditional, let condition = conditions[nil] {
            try executor.write(condition.z, to: unconditional.z)
            try executor.write(condition.entropy, to: unconditional.entropy)
            try executor.write([cfg], to: decoder.cfg)
        }
        try executor.write(noise, to: decoder.noise)
        try executor.run()
        let tokens = try executor.read(decoder.tokens)
        try memory.device.finish()
        return tokens
    }

    private func makeDecoder(_ batch: Batch) throws -> Decoder {
        let inputs = try Self.decoderGraph(model, weights: weights, batch)
        let decoder = Decoder(
            z: inputs.z, entropy: inputs.entropy, unconditional: inputs.unconditional, noise: inputs.noise,
            cfg: inputs.cfg, tokens: inputs.tokens, executor: try executor(inputs.graph))
        decoders[batch] = decoder
        return decoder
    }

    /// The graph that draws a batch from encoded labels.
    static func decoderGraph(
        _ model: DriftARModel, weights: String, _ batch: Batch
    ) throws -> (
        graph: Graph, z: Tensor, entropy: Tensor, unconditional: (z: Tensor, entropy: Tensor)?, noise: Tensor,
        cfg: Tensor, tokens: Tensor
    ) {
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: weights)
        let shape = model.shape
        // Names carry the batch: storages are shared by name, and another batch has other sizes.
        let tag = "sample_\(batch.labels)x\(batch.perLabel)_"
        let z = try graph.input(tag + "z", [batch.labels, shape.tokens, shape.embed])
        let entropy = try graph.input(tag + "entropy", [batch.labels, shape.tokens])
        let noise = try graph.input(
            tag + "noise", [batch.labels * batch.perLabel, shape.tokens, shape.tokenWidth])
        let cfg = try graph.input("sample_cfg", [1])
        var tokens = try model.generate(z: z, entropy: entropy, noise: noise, scope)
        var unconditional: (z: Tensor, entropy: Tensor)?
        if batch.isGuided {
            let fixed = (
                z: try graph.input("sample_z", [1, shape.tokens, shape.embed]),
                entropy: try graph.input("sample_entropy", [1, shape.tokens])
            )
            let other = try model.generate(z: fixed.z, entropy: fixed.entropy, noise: noise, scope)
            tokens = try graph.add(
                graph.scale(tokens, by: cfg), graph.scale(other, by: cfg, factor: -1, offset: 1))
            unconditional = fixed
        }
        graph.output(tokens)
        return (graph, z, entropy, unconditional, noise, cfg, tokens)
    }

    private static let stream: UInt32 = 0x2004_0000

    /// Standard normal numbers [labels.count * images.count, R, C].
    private func noise(_ labels: [Int], images: Range<Int>, seed: UInt64) -> [Float] {
        let random = Philox(seed: seed)
        let size = model.shape.tokens * model.shape.tokenWidth
        var values: [Float] = []
        values.reserveCapacity(labels.count * images.count * size)
        for label in labels {
            for image in images {
                for element in 0..<size {
                    let words = random.words(
                        UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: image),
                        UInt32(truncatingIfNeeded: label), Self.stream)
                    values.append(Float(BoxMuller.normal(words[0], words[1])))
                }
            }
        }
        return values
    }
}

/// Image tokens [N, R, C] back in pixels: [N, channels, height, width], clamped to [-1, 1]. A token holds a patch as
/// (channel, row, column), rows of patches first.
public func images(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    let (channels, height, width, patch) = (configuration.channels, configuration.height, configuration.width, configuration.patch)
    let size = channels * height * width
    guard size > 0 else { return [] }
    let columns = width / patch
    var result = [Float](repeating: 0, count: tokens.count)
    for image in 0..<(tokens.count / size) {
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<channels {
                    let token = (y / patch) * columns + x / patch
                    let within = (channel * patch + y % patch) * patch + x % patch
                    let value = tokens[image * size + token * configuration.tokenWidth + within]
                    result[image * size + (channel * height + y) * width + x] = min(max(value, -1), 1)
                }
            }
        }
    }
    return result
}
