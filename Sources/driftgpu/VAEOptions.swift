import ArgumentParser
import DriftAR
import DriftGPU

/// The autoencoder of a command.
struct VAEOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "Weights of a KL autoencoder: a run of driftgpu vae train, a safetensors file with the names of latent diffusion's checkpoints (MAR's kl16), or random, to try things without weights: nothing is reconstructed then.",
        valueName: "file|random"))
    var vae: String?
    @Option(help: ArgumentHelp("Seed of --vae random.", valueName: "n")) var vaeSeed: UInt64?
    @Option(help: ArgumentHelp("Channels of the first level of --vae random. Default: 128.", valueName: "n")) var vaeWidth: Int?
    @Option(help: ArgumentHelp("Channels of each level over those of the first, of --vae random. Default: 1,1,2,2,4.", valueName: "n,..."))
    var vaeMultipliers: String?
    @Option(help: ArgumentHelp("Residual blocks of a level of --vae random. Default: 2.", valueName: "n")) var vaeBlocks: Int?
    @Option(help: ArgumentHelp("Channels of the latents of --vae random. Default: 16.", valueName: "n")) var vaeChannels: Int?

    func validate() throws {
        if vae != "random", vaeSeed != nil || vaeWidth != nil || vaeMultipliers != nil || vaeBlocks != nil || vaeChannels != nil {
            throw ValidationError("--vae-seed, --vae-width and the like are for --vae random; a file has its own")
        }
    }

    /// The weights named; nil where none are. `seed` is that of random ones where --vae-seed is not given.
    func weights(seed: UInt64 = 0) throws -> VAEWeights? {
        guard let vae else { return nil }
        guard vae == "random" else { return try VAEWeights(vae) }
        var shape = VAE.Shape()
        shape.width = vaeWidth ?? shape.width
        shape.blocks = vaeBlocks ?? shape.blocks
        if let channels = vaeChannels { (shape.innerChannels, shape.latentChannels) = (channels, channels) }
        if let text = vaeMultipliers {
            shape.multipliers = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
                guard let multiplier = Int(part) else {
                    throw ValidationError("--vae-multipliers \(text): '\(part)' is no whole number; write them like 1,2,4")
                }
                return multiplier
            }
        }
        // As in kl16: attention at the last level of the encoder.
        shape.encoderAttention = [shape.multipliers.count - 1]
        return try VAEWeights(random: shape, seed: vaeSeed ?? seed)
    }

    /// The weights named, where there must be some.
    func required(seed: UInt64) throws -> VAEWeights {
        guard let weights = try weights(seed: seed) else {
            throw ValidationError("name an autoencoder: --vae FILE, or --vae random to try without weights")
        }
        return weights
    }
}
