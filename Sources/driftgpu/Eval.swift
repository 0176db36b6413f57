import ArgumentParser
import DriftAR
import DriftGPU

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge a model's samples against real images.",
        discussion: "Class accuracy: part of the samples whose nearest real training image has their label. Diversity: mean pairwise distance within a class over that of real images. Held-out real images, judged the same way, show what can be reached.")

    @Option(help: "A run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String
    @Option(help: "Real images to judge by. Default: those that the run was trained on.") var data: String?
    @Option(help: "Images of each label.") var perLabel: Int = 100
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Seed of the noise.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            let saved = try SavedModel(checkpoint, weights: weights)
            guard perLabel > 1 else { throw ConfigurationError("per-label \(perLabel): take 2 or more") }
            let source = try DataSource.open(saved.configuration, path: data)
            let (training, heldOut) = (try source.training.dataset(), try source.heldOut.dataset())
            let device = try deviceOptions.open()
            let state = try saved.load(into: DeviceMemory(device))
            let labels = Array(0..<training.classCount)
            let tokens = try Sampler(state.model, memory: state.memory)
                .tokens(labels: labels, perLabel: perLabel, cfg: cfg, seed: seed)
            let samples = try SampleSet(
                tokens: tokens, labels: labels, perLabel: perLabel, configuration: saved.configuration
            ).dataset(classNames: training.classNames)
            Output.line(try Evaluation(generated: samples, training: training, heldOut: heldOut).description)
        }
    }
}
