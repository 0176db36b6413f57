import ArgumentParser
import DriftAR
import DriftGPU

struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw images from a trained model.",
        discussion: "Writes one PNG an image, grid.png, and with --format npy also samples.npy (float32 [N, channels, H, W] in [-1, 1]) and labels.npy (int32). Latents are decoded by the autoencoder of --vae; without one they are shown in false colours.")

    enum Format: String, ExpressibleByArgument, CaseIterable { case png, npy }

    @Option(help: "A run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String
    @Option(help: "Labels: numbers and ranges, separated by commas, like 0-3,7. Default: all.") var labels: String?
    @Option(help: "Images of each label.") var perLabel: Int = 10
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Seed of the noise.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @Option(help: "npy writes arrays besides the pictures.") var format: Format = .png
    @Option(name: [.short, .long], help: "Folder to write to.") var output: String = "samples"
    @OptionGroup(title: "Autoencoder") var vaeOptions: VAEOptions
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            let saved = try SavedModel(checkpoint, weights: weights)
            let chosen = try LabelList.parse(labels, classes: saved.configuration.classes)
            guard perLabel > 0 else { throw ConfigurationError("per-label \(perLabel): take 1 or more") }
            let vae = try vaeOptions.weights()
            let device = try deviceOptions.open()
            let rendering = try Rendering(saved.configuration, autoencoder: vae.map { Autoencoder($0, device: device) })
            let state = try saved.load(into: DeviceMemory(device))
            let sampler = Sampler(state.model, memory: state.memory)
            let tokens = try sampler.tokens(labels: chosen, perLabel: perLabel, cfg: cfg, seed: seed)
            let (pixels, shape) = try rendering(tokens)
            let set = SampleSet(
                pixels: pixels, shape: shape, labels: chosen, perLabel: perLabel, configuration: saved.configuration,
                settings: [
                    ("driftgpu.checkpoint", checkpoint), ("driftgpu.cfg", "\(cfg)"), ("driftgpu.seed", "\(seed)"),
                    ("driftgpu.weights", weights),
                ] + (vae.map { [("driftgpu.vae", $0.name)] } ?? []))
            try set.write(to: output, arrays: format == .npy)
            Output.line("\(chosen.count * perLabel) images in \(output), all of them in \(output)/grid.png")
        }
    }
}
