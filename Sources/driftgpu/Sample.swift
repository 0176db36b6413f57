import ArgumentParser
import DriftAR
import DriftData
import DriftFormats
import DriftGPU
import DriftMPI

struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw images from a trained model.",
        discussion: "Writes one PNG an image, grid.png, and with --format npy also samples.npy (float32 [N, channels, H, W] in [-1, 1]) and labels.npy (int32). Latents are decoded by the autoencoder of --vae; without one they are shown in false colours.")

    enum Format: String, ExpressibleByArgument, CaseIterable { case png, npy }

    @Option(help: "A run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String
    @Option(help: "Labels: numbers, ranges and names of classes, separated by commas, like 0-3,7; name:10 is the class called 10. Default: all.") var labels: String?
    @Option(help: "Images of each label.") var perLabel: Int = 10
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Seed of the noise.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @Option(help: "npy writes arrays besides the pictures.") var format: Format = .png
    @Option(name: [.short, .long], help: "Folder to write to.") var output: String = "samples"
    @Option(help: ArgumentHelp("Keep the encoder's results for later runs in this file; on: in the cache folder.", valueName: "file|on"))
    var labelCache: String?
    @Option(help: ArgumentHelp("Write where the time went and what was accepted to this JSON file.", valueName: "file"))
    var report: String?
    @OptionGroup(title: "Drawing in rounds") var drawing: DrawingOptions
    @OptionGroup(title: "Speculative loop") var speculative: SpeculativeOptions
    @OptionGroup(title: "Autoencoder") var vaeOptions: VAEOptions
    @OptionGroup var deviceOptions: DeviceOptions
    @OptionGroup var rankOptions: RankOptions

    func run() throws {
        try reporting {
            let ranks = try rankOptions.start(folder: nil)
            try ranks.together { try draw(ranks) }
        }
    }

    private func draw(_ ranks: any RankGroup) throws {
        var saved = try SavedModel(checkpoint, weights: weights)
        try drawing.apply(to: &saved.configuration)
        let chosen = try LabelList.parse(labels, classes: saved.configuration.data.classes, names: saved.configuration.data.classNames)
        if ranks.isFirst, let line = ClassNames.line(saved.configuration.data.classNames, of: chosen) { Output.line(line) }
        guard perLabel > 0 else { throw ConfigurationError("per-label \(perLabel): take 1 or more") }
        let speculation = try speculative.settings(of: saved.configuration)
        guard speculation == nil || ranks.count == 1 else {
            throw ConfigurationError("speculative: what it reports is of one process; draw with --ranks 1, or without it")
        }
        let vae = try vaeOptions.weights()
        let device = try deviceOptions.open(taking: rankOptions.device(deviceOptions.device, ranks))
        let rendering = try Rendering(saved.configuration, autoencoder: vae.map { Autoencoder($0, device: device) })
        let state = try saved.load(into: DeviceMemory(device))
        let sampler = Sampler(state.model, memory: state.memory)
        if let labelCache { try sampler.cacheLabels(in: labelCache == "on" ? .automatic : .file(labelCache)) }
        let share = DrawingShare(labels: chosen, perLabel: perLabel, ranks: ranks)
        var (pixels, shape) = try ranks.together {
            let tokens = try sampler.tokens(
                labels: share.labels, perLabel: perLabel, images: share.images, cfg: cfg, seed: seed, speculation: speculation)
            // A share can be empty, and then has no form.
            return tokens.isEmpty ? ([], [0]) : try sampler.clock.measure(.render) { try rendering(tokens) }
        }
        pixels = try share.gather(pixels)
        guard ranks.isFirst else { return }
        shape[0] = chosen.count * perLabel
        let set = SampleSet(
            pixels: pixels, shape: shape, labels: chosen, perLabel: perLabel, configuration: saved.configuration,
            rendering: rendering.kind,
            settings: [
                ("driftgpu.checkpoint", checkpoint), ("driftgpu.cfg", "\(cfg)"), ("driftgpu.seed", "\(seed)"),
                ("driftgpu.weights", weights),
            ] + drawing.given.map { ("driftgpu." + $0, $1) } + (vae.map { [("driftgpu.vae", $0.name)] } ?? [])
                + (speculation.map { [("driftgpu.speculative", $0.description)] } ?? []))
        let images = chosen.count * perLabel
        guard set.notFinite < images else {
            throw ConfigurationError(
                "\(checkpoint): none of \(images) images is finite, the run has diverged; take an earlier checkpoint, or train again with a smaller --lr")
        }
        let leftovers = try sampler.clock.measure(.write) { try set.write(to: output, arrays: format == .npy) }
        let result = SamplingReport(sampler, images: images, cfg: cfg, speculation: speculation)
        // Before anything is printed: a reader that leaves ends the program.
        if let report { try AtomicFile.write([UInt8](result.json()), to: report) }
        Output.line("\(images) images in \(output), all of them in \(output)/grid.png")
        leftovers.lines(in: output).forEach(Output.line)
        if set.notFinite > 0 {
            Output.line("\(set.notFinite) of \(images) images are not finite and show as black: take an earlier checkpoint")
        }
        if let note = rendering.note { Output.line(note) }
        result.lines.forEach(Output.line)
    }
}

/// The speculative loop's flags.
struct SpeculativeOptions: ParsableArguments {
    @Flag(help: "Let the draft model propose features; the accepted ones are used.") var speculative = false
    @Option(help: ArgumentHelp("Accept proposals nearer to the encoder's features than this. Default: 0.1.", valueName: "x"))
    var specThreshold: Float?
    @Option(help: ArgumentHelp("Factor of the context threshold. Default: 0.8.", valueName: "x")) var specGamma: Float?
    @Option(help: ArgumentHelp("Most rounds; the loop ends before when the draft is sure. Default: 1.", valueName: "n"))
    var specIterations: Int?
    @Option(help: ArgumentHelp("Position a proposal is for, relative to the draft's own; the reference takes 0. Default: what the draft was trained for.", valueName: "n"))
    var specShift: Int?

    /// The settings for a model; nil without --speculative.
    func settings(of configuration: Configuration) throws -> Speculation? {
        guard speculative else {
            let given = [
                ("threshold", specThreshold != nil), ("gamma", specGamma != nil), ("iterations", specIterations != nil),
                ("shift", specShift != nil),
            ]
            if let stray = given.first(where: { $0.1 }) {
                throw ConfigurationError("spec-\(stray.0): only goes with --speculative")
            }
            return nil
        }
        var settings = Speculation(shift: configuration.stage.label?.draftShift ?? 0)
        if let specThreshold { settings.threshold = specThreshold }
        if let specGamma { settings.gamma = specGamma }
        if let specIterations { settings.iterations = specIterations }
        if let specShift { settings.shift = specShift }
        try settings.validate(tokens: configuration.data.tokens)
        return settings
    }
}
