import DriftFormats
import DriftGPU

/// Where an autoencoder's weights come from, and the sizes that follow.
public struct VAEWeights: Sendable {
    public let vae: VAE
    /// The file, or `random`.
    public let name: String
    /// Factor from latents to what a model is trained on, where the file says it.
    public let latentScale: Float?
    private let source: Source

    private enum Source: Sendable {
        case file(WeightSet)
        case random(seed: UInt64)
    }

    /// Random weights: everything runs, but nothing is reconstructed.
    public init(random shape: VAE.Shape, seed: UInt64) throws {
        vae = try VAE(shape)
        (name, latentScale) = ("random", nil)
        source = .random(seed: seed)
    }

    /// The weights of a file with the names of latent diffusion's checkpoints or of diffusers, all of them below one prefix or
    /// none. Sizes are read off the tensors; tensors of other names (a discriminator's) are passed over. A run's folder stands for what
    /// it has written at its end, or else for the EMA of its newest checkpoint.
    ///
    /// Throws a line that lists what is missing or has another shape than the rest implies.
    public init(_ path: String) throws {
        let path = try Self.file(path)
        let file = try WeightFile.open(path)
        if let error = ShardedWeights.error(forShard: file.path) { throw error }
        let weights = DiffusersNames.translated(try WeightSearch(source: file, kind: .kl16).sets()[0].weights)
        let first = "encoder.conv_in.weight"
        guard weights.headers[first] != nil else {
            throw DataError("no tensor '\(first)': not the weights of a KL autoencoder", at: path, fix: Self.remedy)
        }
        vae = try Self.named(path) { try VAE(Self.shape(weights)) }
        name = path
        latentScale = try LatentScale.stored(in: file, at: path)
        source = .file(weights)
        let declarations = vae.encoderDeclarations + vae.decoderDeclarations
        try Self.check(weights, declarations)
        try file.verify(declarations.map { weights.storedName($0.name) })
    }

    private static func file(_ path: String) throws -> String {
        let run = RunFolder(path)
        if Files.exists(run.autoencoderPath) { return run.autoencoderPath }
        let own = Files.join(path, RunFolder.File.ema)
        if Files.exists(own) { return own }
        guard Files.exists(run.checkpoints.path), let step = try run.checkpoints.latest() else { return path }
        return Files.join(try run.checkpoints.open(step: step, only: [RunFolder.File.ema]).folder, RunFolder.File.ema)
    }

    /// The error of sizes that are out of range says in which file they are.
    private static func named<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as ConfigurationError {
            throw DataError(error.description, at: path, fix: remedy)
        }
    }

    private static let remedy = "name a file with the tensor names of latent diffusion's or diffusers' AutoencoderKL"

    /// The sizes that the tensors' shapes tell.
    private static func shape(_ weights: WeightSet) throws -> VAE.Shape {
        func extents(_ name: String) throws -> [Int] {
            let shape = try weights.header(name).shape
            guard shape.count == 4 else {
                throw DataError("tensor '\(name)' has the shape \(shape), not that of a convolution", at: weights.source.path, fix: remedy)
            }
            return shape
        }
        func has(_ name: String) -> Bool { weights.headers[name] != nil }
        func count(_ limit: Int, _ name: (Int) -> String) -> Int { (0..<limit).first { !has(name($0)) } ?? limit }
        var shape = VAE.Shape()
        let first = try extents("encoder.conv_in.weight")
        (shape.width, shape.imageChannels) = (first[0], first[1])
        // One more than may be, so that what is too large is told by name.
        let levels = count(9) { "encoder.down.\($0).block.0.conv1.weight" }
        shape.blocks = count(17) { "encoder.down.0.block.\($0).conv1.weight" }
        shape.multipliers = try (0..<levels).map { level in
            let channels = try extents("encoder.down.\(level).block.0.conv1.weight")[0]
            guard shape.width > 0, channels.isMultiple(of: shape.width) else {
                throw DataError("level \(level) has \(channels) channels, no multiple of the first \(shape.width)", at: weights.source.path,
                                fix: remedy)
            }
            return channels / shape.width
        }
        shape.innerChannels = try extents("decoder.conv_in.weight")[1]
        shape.latentChannels = try extents("post_quant_conv.weight")[1]
        shape.encoderAttention = Set((0..<levels).filter { has("encoder.down.\($0).attn.0.q.weight") })
        shape.decoderAttention = Set((0..<levels).filter { has("decoder.up.\($0).attn.0.q.weight") })
        return shape
    }

    private static func check(_ weights: WeightSet, _ declarations: [ParameterDeclaration]) throws {
        var (missing, misshapen) = ([String](), [String]())
        for declaration in declarations {
            if let entry = weights.headers[declaration.name] {
                if entry.shape != declaration.shape {
                    misshapen.append("\(declaration.name) \(entry.shape) instead of \(declaration.shape)")
                }
            } else {
                missing.append(declaration.name)
            }
        }
        func listed(_ names: [String]) -> String {
            names.prefix(4).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
        }
        let complaints =
            (missing.isEmpty ? [] : ["it lacks " + listed(missing)]) + (misshapen.isEmpty ? [] : ["it has " + listed(misshapen)])
        guard complaints.isEmpty else {
            throw DataError(complaints.joined(separator: "; "), at: weights.source.path, fix: remedy)
        }
    }

    /// The values of those parameters in a flat buffer.
    func values(_ declarations: [ParameterDeclaration], _ layout: ParameterLayout) throws -> [Float] {
        switch source {
        case .random(let seed): return try layout.initialValues(of: declarations, seed: seed)
        case .file(let weights):
            var values = [Float](repeating: 0, count: layout.count)
            for entry in layout.entries {
                let tensor = try weights.floats(entry.name)
                values.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: tensor)
            }
            return values
        }
    }
}
