import DriftGPU

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// An autoencoder of gray pictures that takes no time: latents [2, H / 2, W / 2].
enum TinyVAE {
    static let shape: VAE.Shape = {
        var shape = VAE.Shape()
        (shape.imageChannels, shape.width, shape.multipliers, shape.blocks) = (1, 4, [1, 2], 1)
        (shape.innerChannels, shape.latentChannels, shape.encoderAttention) = (2, 2, [1])
        return shape
    }()

    /// The same as flags.
    static let flags = "--vae random --vae-width 4 --vae-multipliers 1,2 --vae-blocks 1 --vae-channels 2"

    static func weights(seed: UInt64 = 1) throws -> VAEWeights { try VAEWeights(random: shape, seed: seed) }

    /// The tensors of a file with those weights.
    static func tensors(prefix: String = "", seed: UInt64 = 1) throws -> [String: NamedTensor] {
        let weights = try weights(seed: seed)
        var tensors: [String: NamedTensor] = [:]
        for declarations in [weights.vae.encoderDeclarations, weights.vae.decoderDeclarations] {
            let layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
            for (name, tensor) in try layout.tensors(weights.values(declarations, layout)) { tensors[prefix + name] = tensor }
        }
        return tensors
    }

    /// A few digits.
    static func images(_ count: Int) throws -> ImageSet {
        try ImageSet(OptDigits.all()).subset(Array(0..<count))
    }
}
