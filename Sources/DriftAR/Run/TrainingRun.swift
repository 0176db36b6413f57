import DriftGPU
import Foundation

/// A whole training run in a folder: settings, steps, metrics, samples, checkpoints.
public struct TrainingRun {
    public let folder: RunFolder
    public let trainer: Trainer
    /// What the run takes of the device's memory.
    public let memory: TrainingMemory
    /// What a new run took from the weights it was given.
    public let initialWeights: InitialWeights?
    let sampler: Sampler
    private let rendering: Rendering
    /// Real images that samples are judged by while training; nil where they are not.
    let judges: Dataset?
    /// How the run ended.
    public enum Ending: Sendable, Equatable { case finished, interrupted }

    /// What to do with a folder that holds a run already.
    public enum Existing: Sendable { case refuse, resume, overwrite }

    /// Prepares the run in `path`. A new run writes its config.json; a resumed one stands at its newest checkpoint. Samples of
    /// latents are decoded by `autoencoder` where there is one. `weights`: what a new run starts from. `limits`: what the
    /// device offers, unless that is what it says itself; a run that needs more is refused before anything is allocated or
    /// written.
    public init(
        _ configuration: Configuration, data: ImageSet, path: String, existing: Existing, device: Device,
        autoencoder: Autoencoder? = nil, weights: SafeTensorsFile? = nil, limits: TrainingMemory.Limits? = nil
    ) throws {
        try configuration.validate()
        rendering = try Rendering(configuration, autoencoder: autoencoder)
        guard device.precision == configuration.precision else {
            throw ConfigurationError(
                "precision \(configuration.precision.rawValue): the device was opened for \(device.precision.rawValue); open it with the run's precision")
        }
        folder = RunFolder(path, keep: configuration.keepCheckpoints)
        let state = ModelState(try configuration.makeModel(), memory: DeviceMemory(device))
        let latest = try folder.checkpoints.latest()
        if existing == .refuse, latest != nil || Files.exists(folder.configurationPath) {
            throw ConfigurationError(
                "\(path): holds a run already; continue it with --resume, replace it with --overwrite, or choose another --output")
        }
        let limits = limits ?? TrainingMemory.Limits(device)
        memory = try TrainingMemory(
            configuration, data: data, maxAllocation: limits.maxAllocation, traits: device.traits, gemm: device.gemm)
        try memory.check(limits)
        guard configuration.onlineEval == 0 || data.form == .pixels else {
            throw ConfigurationError(
                "online-eval \(configuration.onlineEval): latents cannot be compared as images; leave it out, and judge samples with driftgpu eval --images")
        }
        judges = configuration.onlineEval > 0 ? try data.dataset(perClass: Self.judgesPerClass) : nil
        if existing == .resume, let latest {
            initialWeights = nil
            trainer = try folder.restore(step: latest, configuration: configuration, state: state, data: data)
        } else {
            initialWeights = try state.initialize(seed: configuration.seed, from: weights)
            trainer = try Trainer(configuration, state: state, data: data)
            // Only now: settings that cannot be trained must not cost the run that stands here.
            try Files.makeFolder(path)
            if existing == .overwrite {
                for part in [folder.checkpoints.path, folder.samplesPath, folder.metricsPath] where Files.exists(part) {
                    try Files.removeTree(part)
                }
            }
        }
        try Files.makeFolder(folder.samplesPath)
        try AtomicFile.write(Array(configuration.json()), to: folder.configurationPath)
        sampler = Sampler(
            state.model, memory: state.memory, weights: configuration.evalWeights.buffer,
            batchLimit: configuration.sampleBatch)
    }

    /// Trains up to the configured number of steps. `shouldStop` is asked after every step; when it says so, a checkpoint is
    /// written and the run ends as interrupted.
    public func train(progress: ProgressLine, shouldStop: () -> Bool = { false }) throws -> Ending {
        let configuration = trainer.configuration
        let log = try MetricsLog(folder.metricsPath, resumedAt: trainer.step > 0 ? trainer.step : nil)
        var shown: [(String, Double)] = []
        var judged: [(String, Double)] = []
        var isSaved = trainer.step > 0
        while trainer.step < configuration.steps {
            try trainer.advance()
            isSaved = false
            let step = trainer.step
            trainer.data.broken.takeReasons().forEach(progress.message)
            let isLast = step == configuration.steps
            let isJudged = configuration.onlineEval > 0 && (step % configuration.onlineEval == 0 || isLast)
            if step == 1 || step % configuration.logEvery == 0 || isLast || isJudged {
                // Before anything is drawn on the same memory: that overwrites what the step left.
                let metrics = try trainer.metrics()
                if isJudged { judged = try evaluate() }
                try log.append(step: step, values: metrics + (isJudged ? judged : []))
                let wanted = ["loss", "scale", "entropy", "gradient_norm", "data_wait"]
                shown = metrics.filter { wanted.contains($0.0) } + judged.filter { $0.0 != "nearest_distance" }
                if let loss = metrics.first(where: { $0.0 == "loss" })?.1, !loss.isFinite {
                    progress.message("step \(step): the loss is not finite; the step was skipped")
                }
            }
            progress.update(step: step, losses: shown, images: configuration.effectiveBatch)
            if isLast || (configuration.sampleEvery > 0 && step % configuration.sampleEvery == 0) { try writeSamples() }
            if isLast || (configuration.checkpointEvery > 0 && step % configuration.checkpointEvery == 0) {
                try log.sync()
                try folder.save(trainer)
                isSaved = true
            }
            if !isLast, shouldStop() {
                if !isSaved {
                    try log.sync()
                    try folder.save(trainer)
                }
                progress.finish()
                return .interrupted
            }
        }
        progress.finish()
        return .finished
    }

    /// A grid of samples, one row a label (of the first ten), as samples/step-N.png.
    public func writeSamples(perLabel: Int = 10) throws {
        let configuration = trainer.configuration
        try sampler.reset()
        let labels = Array(0..<min(10, configuration.classes))
        let tokens = try sampler.tokens(labels: labels, perLabel: perLabel, seed: configuration.seed)
        let (pixels, shape) = try rendering(tokens)
        let picture = try Picture(grid: pixels, shape: shape, columns: perLabel, scale: max(1, 48 / shape[2]))
        let digits = String(trainer.step)
        let name = "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".png"
        try PNG.write(
            picture,
            text: [
                PNG.Text("Software", "driftgpu"), PNG.Text("driftgpu.step", digits),
                PNG.Text("driftgpu.config", String(decoding: configuration.json(), as: UTF8.self)),
            ], to: folder.samplesPath + "/" + name)
    }
}
