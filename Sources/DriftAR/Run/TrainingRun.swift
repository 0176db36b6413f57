import DriftData
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation

/// A whole training run in a folder: settings, steps, metrics, samples, checkpoints. Several processes can share it: each takes its
/// part of every step, and the first of them alone writes.
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
    /// What is made of images that are held out, where the model takes images apart; then there are no samples.
    private let reconstructions: HeldOutReconstructions?
    /// How the run ended.
    public enum Ending: Sendable, Equatable { case finished, interrupted }

    /// What to do with a folder that holds a run already; `resume` is for one that holds a checkpoint, `resumeIfAny` starts a
    /// new run where there is none.
    public enum Existing: Sendable { case refuse, resume, resumeIfAny, overwrite }

    /// The processes that share the run.
    private let ranks: any RankGroup
    /// Keeps others from training in the folder while this run does; the first process has it.
    private let lock: FolderLock?

    /// Prepares the run in `path`. A new run writes its config.json; a resumed one stands at its newest checkpoint. Samples of
    /// latents are decoded by `autoencoder` where there is one. `weights`: what a new run starts from. `limits`: what the
    /// device offers, unless that is what it says itself; a run that needs more is refused before anything is allocated or
    /// written. `ranks`: the processes that share the run. All make it at once, with the same arguments but the device; where one of
    /// them throws, `RankGroup.together` around it has all throw. `heldOut`: images that a model which reconstructs is judged by; those
    /// it trains on where there are none.
    /// `wire`: what they send gradients as.
    public init(
        _ configuration: Configuration, data: ImageSet, heldOut: ImageSet? = nil, path: String, existing: Existing, device: Device,
        autoencoder: Autoencoder? = nil, weights: SafeTensorsFile? = nil, limits: TrainingMemory.Limits? = nil,
        ranks: any RankGroup = SingleRank(), wire: Wire = .fp32
    ) throws {
        try configuration.validate()
        self.ranks = ranks
        let exchange: any GradientExchange = ranks.count > 1 ? RankExchange(ranks, wire: wire, overlaps: device.about.kind != .cpu) : SingleProcess()
        rendering = try Rendering(configuration, autoencoder: autoencoder)
        guard device.precision == configuration.run.precision else {
            throw ConfigurationError(
                "precision \(configuration.run.precision.rawValue): the device was opened for \(device.precision.rawValue); open it with the run's precision")
        }
        folder = RunFolder(path, keep: configuration.run.keepCheckpoints)
        // Before the folder is looked at: what another process is about to write must not be missed.
        let early = ranks.isFirst && Files.isFolder(path) ? try FolderLock(path) : nil
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        reconstructions = ranks.isFirst ? HeldOutReconstructions(state, configuration, rendering, heldOut: heldOut, training: data) : nil
        let found = ranks.isFirst ? try folder.checkpoints.latest() : nil
        if ranks.isFirst { try folder.check(existing) }
        guard configuration.loss.features != .encoder || type(of: configuration.head.own).takesEncoder else {
            throw ConfigurationError("features: the head \(configuration.head.kind) compares no images by a feature encoder; take --features pixels")
        }
        guard configuration.loss.features != .encoder || !configuration.encoder.path.isEmpty else {
            throw ConfigurationError("features: images are compared by a feature encoder; name its run (driftgpu features train) with --features RUN")
        }
        let known = limits ?? TrainingMemory.Limits(device)
        memory = try TrainingMemory(
            configuration, data: data, maxAllocation: known.maxAllocation, processes: ranks.count, traits: device.traits, gemm: device.gemm)
        try memory.check(known)
        // What the driver refuses is better said with what would help than by the buffer, in the middle of it.
        if limits == nil, !device.gives(memory.largest.bytes) { try memory.check(TrainingMemory.Limits(device)) }
        guard configuration.run.onlineEval == 0 || data.form.arePixels else {
            throw ConfigurationError(
                "online-eval \(configuration.run.onlineEval): latents cannot be compared as images; leave it out, and judge samples with driftgpu eval --images")
        }
        judges = configuration.run.onlineEval > 0 && ranks.isFirst ? try data.dataset(perClass: Self.judgesPerClass) : nil
        // None begins before all are sure that they can, and all with what the first has found.
        let latest = try ranks.together { found }
        let step = try ranks.broadcast(Int64(latest ?? -1))
        if existing == .resume || existing == .resumeIfAny, step >= 0, early != nil || !ranks.isFirst {
            initialWeights = nil
            lock = early
            trainer = try folder.restore(
                step: Int(step), configuration: configuration, state: state, data: data, exchange: exchange)
            if let encoder = FrozenEncoder(configuration) {
                guard try folder.configuration().encoder == configuration.encoder else {
                    throw ConfigurationError("features: the run in \(path) compares images by the encoder it began with; leave --features out")
                }
                try encoder.load(SavedModel.file(folder.encoderPath), into: state.memory)
            }
        } else {
            initialWeights = try state.initialize(seed: configuration.run.seed, from: weights)
            trainer = try Trainer(configuration, state: state, data: data, exchange: exchange)
            let features = try FrozenEncoder(configuration).map { encoder in
                let saved = try SavedModel(configuration.encoder.path)
                try encoder.load(saved.file, into: state.memory)
                return saved
            }
            guard ranks.isFirst else {
                lock = nil
                sampler = Self.sampler(state, configuration)
                return
            }
            // Only now: settings that cannot be trained must not cost the run that stands here.
            try Files.makeFolder(path)
            lock = try early ?? FolderLock(path)
            // Another process can have been faster where there was no folder to lock.
            if early == nil, existing != .overwrite { try folder.check(.refuse) }
            if existing == .overwrite {
                for part in [folder.checkpoints.path, folder.samplesPath, folder.metricsPath, folder.tensorBoardPath, folder.autoencoderPath, folder.encoderPath] where Files.exists(part) {
                    try Files.removeTree(part)
                }
            }
            // The run is whole without the one it took this from.
            if let features { try WeightExport.write(features, to: folder.encoderPath, overwrite: true) }
        }
        sampler = Self.sampler(state, configuration)
        guard ranks.isFirst else { return }
        try Files.makeFolder(folder.samplesPath)
        try AtomicFile.write(Array(configuration.json()), to: folder.configurationPath)
        // What was left there asked another run.
        for path in [folder.stopPath, folder.savePath] { try Files.removeTree(path) }
    }

    /// Whether a file asks for something; it is taken away, so that it asks once.
    private func isAsked(_ path: String) -> Bool {
        guard ranks.isFirst, Files.exists(path) else { return false }
        return (try? Files.removeTree(path)) != nil
    }

    private static func sampler(_ state: ModelState, _ configuration: Configuration) -> Sampler {
        Sampler(
            state.model, memory: state.memory, weights: configuration.run.evalWeights.buffer,
            batchLimit: configuration.sampleBatch)
    }

    /// Trains up to the configured number of steps. `shouldStop` is asked after every step; when it says so in any process, or a file
    /// `stop` appears in the folder, a checkpoint is written and the run ends as interrupted. `shouldSave` or a file `save` has a
    /// checkpoint written and the run go on.
    ///
    /// `peak`: multiply-adds of the device, operations a second; where it is known, the log has images a second and the share of the peak,
    /// and the run ends with a line of both. `tensorboard`: writes TensorBoard's event files, too; a folder that has some gets more of them.
    ///
    /// Processes that share the run stop, save and fail at the same step: where one fails, all throw a `RankFailure`.
    ///
    /// Throws where the run has diverged. Steps that are skipped leave the weights as they are, so checkpoints then would only
    /// take the place of good ones: none is written, and none is removed before training has been seen to go on from a newer.
    public func train(
        progress: ProgressLine, peak: Double? = nil, tensorboard: Bool = false, shouldStop: () -> Bool = { false },
        shouldSave: () -> Bool = { false }
    ) throws -> Ending {
        do {
            let ending = try steps(
                progress: progress, peak: peak, tensorboard: tensorboard, shouldStop: shouldStop, shouldSave: shouldSave)
            if ending == .finished, isAutoencoder, ranks.isFirst { try writeAutoencoder() }
            // None ends before the first has written all.
            try ranks.agree(on: nil)
            return ending
        } catch {
            // All know of the one; of the others none can be told by MPI.
            if !(error is RankFailure || error is BrokenExchange || error is MPIError) { try ranks.agree(on: error) }
            throw error
        }
    }

    private func steps(
        progress: ProgressLine, peak: Double?, tensorboard: Bool, shouldStop: () -> Bool, shouldSave: () -> Bool
    ) throws -> Ending {
        let configuration = trainer.configuration
        let log = ranks.isFirst ? try MetricsLog(folder.metricsPath, resumedAt: trainer.step > 0 ? trainer.step : nil) : nil
        let hasBoard = ranks.isFirst && (tensorboard || Files.isFolder(folder.tensorBoardPath))
        let board = hasBoard ? try TensorBoardLog(folder.tensorBoardPath, after: trainer.step) : nil
        func wishes() -> RunWishes {
            var wishes: RunWishes = []
            // A file that cannot be taken away stops the run all the same.
            if shouldStop() || ranks.isFirst && Files.exists(folder.stopPath) {
                try? Files.removeTree(folder.stopPath)
                wishes.insert(.stop)
            }
            if shouldSave() || isAsked(folder.savePath) { wishes.insert(.save) }
            return wishes
        }
        var shown: [(String, Double)] = []
        var judged: [(String, Double)] = []
        var throughput = peak.map { Throughput(peak: $0) }
        var saving = CheckpointTurns(isSaved: trainer.step > 0)
        var skipped = SkippedSteps(step: trainer.step, counted: try trainer.countedSteps())
        // How often it is looked whether steps count: that waits for the device.
        let limit = configuration.run.stopAfterSkipped
        let interval = limit > 0 ? min(configuration.run.logEvery, limit) : configuration.run.logEvery
        while trainer.step < configuration.run.steps {
            let asked = try trainer.advance(wishes: wishes)
            let step = trainer.step
            trainer.data.broken.takeReasons().forEach(progress.message)
            let isLast = step == configuration.run.steps
            let isStopped = asked.contains(.stop) && !isLast
            saving.step(
                isDue: isLast || asked.contains(.save) || (configuration.run.checkpointEvery > 0 && step % configuration.run.checkpointEvery == 0),
                isLast: isLast || isStopped)
            if saving.needsCount || step % interval == 0 {
                skipped.observe(step: step, counted: try trainer.countedSteps(), last: try trainer.lastStepCounted())
                if skipped.inARow == 0, let good = saving.confirm(), ranks.isFirst { try folder.checkpoints.prune(upTo: good) }
                if skipped.isDiverged(limit: limit, atEnd: isLast) {
                    progress.finish()
                    try log?.sync()
                    try board?.sync()
                    throw diverged("its last \(skipped.inARow) steps were skipped, their loss was not finite", suspect: saving.unconfirmed)
                }
            }
            let isPictured = isLast || (configuration.run.sampleEvery > 0 && step % configuration.run.sampleEvery == 0)
            let isJudged = reconstructions != nil && isPictured
                || configuration.run.onlineEval > 0 && (step % configuration.run.onlineEval == 0 || isLast)
            if step == 1 || step % configuration.run.logEvery == 0 || isLast || isJudged {
                // Before anything is drawn on the same memory: that overwrites what the step left.
                var metrics = try sharedMetrics()
                // They have waited for the device.
                metrics += throughput?.observe(images: step * configuration.effectiveBatch, flops: trainer.flops) ?? []
                if isJudged, ranks.isFirst { judged = try reconstructions.map { [("psnr", try $0.signalToNoise())] } ?? evaluate() }
                try log?.append(step: step, values: metrics + (isJudged ? judged : []))
                try board?.append(step: step, training: metrics, judged: isJudged ? judged : [])
                let wanted = ["loss", "scale", "entropy", "gradient_norm", "data_wait"]
                shown = metrics.filter { wanted.contains($0.0) } + judged.filter { $0.0 != "nearest_distance" }
                if let loss = metrics.first(where: { $0.0 == "loss" })?.1, !loss.isFinite {
                    progress.message("step \(step): the loss is not finite; the step was skipped")
                }
            }
            progress.update(step: step, losses: shown, images: configuration.effectiveBatch, share: throughput?.share)
            if ranks.isFirst, isPictured {
                let samples = try writeSamples()
                try board?.append(step: step, samples: samples)
            }
            if saving.isTurn(afterSkipped: skipped.inARow > 0) {
                try checkReplicas()
                if ranks.isFirst {
                    try log?.sync()
                    try board?.sync()
                    guard try trainer.hasFiniteWeights() else {
                        progress.finish()
                        throw diverged("weights are not finite", suspect: saving.unconfirmed)
                    }
                    try folder.save(trainer, prunes: false)
                }
                if let good = saving.saved(step, isGood: skipped.inARow == 0), ranks.isFirst { try folder.checkpoints.prune(upTo: good) }
            }
            if isStopped {
                progress.finish()
                if let summary = throughput?.summary { progress.message(summary) }
                return .interrupted
            }
        }
        progress.finish()
        if let summary = throughput?.summary { progress.message(summary) }
        return .finished
    }

    /// A step's figures as all processes see them: data were waited for as long as the slowest process did.
    private func sharedMetrics() throws -> [(String, Double)] {
        let metrics = try ranks.together { try trainer.metrics() }
        guard ranks.count > 1 else { return metrics }
        return try metrics.flatMap { name, value in
            guard name == "data_wait" else { return [(name, value)] }
            let waits = try ranks.allgather(value)
            let longest = waits.max() ?? value
            return [(name, longest), ("data_wait_rank", Double(waits.firstIndex(of: longest) ?? 0))]
        }
    }

    /// Throws in all processes where their weights are not the same bits: a device that computes wrongly, or two of different kinds.
    private func checkReplicas() throws {
        guard ranks.count > 1 else { return }
        let hashes = try ranks.allgather(ranks.together { try trainer.weightsHash() })
        let others = hashes.indices.filter { hashes[$0] != hashes[0] }
        if others.isEmpty { return }
        throw DataError(
            "at step \(trainer.step) the weights of rank \(others.map(String.init).joined(separator: ", ")) are not those of rank 0", at: folder.path,
            fix: "run all ranks on devices of one kind with one driver, check that device with driftgpu selftest, and go on with --resume")
    }

    /// What to do about a run that has diverged. `suspect`: a checkpoint after which no step counted.
    private func diverged(_ reason: String, suspect: Int?) -> DataError {
        let steps = (try? folder.checkpoints.steps()) ?? []
        let remedy: String
        if let good = steps.last(where: { $0 != suspect }) {
            let first = suspect.map { steps.contains($0) ? "remove \(folder.checkpoints.folder(of: $0)), then " : "" } ?? ""
            remedy = "\(first)go on from step \(good) with --resume and a smaller --lr than \(trainer.configuration.optimizer.learningRate)"
        } else {
            remedy = "start again with --overwrite and a smaller --lr than \(trainer.configuration.optimizer.learningRate)"
        }
        return DataError("diverged at step \(trainer.step): \(reason)", at: folder.path, fix: remedy)
    }

    private var isAutoencoder: Bool { trainer.configuration.head.autoencoder != nil }

    /// Writes the file of a finished autoencoder where that is missing: a run can be killed after its last checkpoint. Returns its path
    /// where it wrote it.
    public func writeMissingAutoencoder() throws -> String? {
        guard isAutoencoder, ranks.isFirst, trainer.step >= trainer.configuration.run.steps, !Files.exists(folder.autoencoderPath) else { return nil }
        try writeAutoencoder()
        return folder.autoencoderPath
    }

    /// The EMA of a finished autoencoder as one file, with the scale of its latents.
    private func writeAutoencoder() throws {
        let saved = try SavedModel(folder.path)
        let autoencoder = Autoencoder(try VAEWeights(saved.file.path), device: trainer.state.memory.device)
        let scale = try LatentScale.measured(autoencoder, on: trainer.data)
        try WeightExport.write(saved, metadata: [LatentScale.key: "\(scale)"], to: folder.autoencoderPath, overwrite: true)
    }

    /// A grid of samples, one row a label (of the first ten), as samples/step-N.png; of a model that reconstructs, images with what it
    /// makes of each on their right.
    @discardableResult
    public func writeSamples(perLabel: Int = 10) throws -> Picture {
        let configuration = trainer.configuration
        let picture: Picture
        if let reconstructions {
            picture = try reconstructions.picture()
        } else {
            try sampler.reset()
            let labels = Array(0..<min(10, configuration.data.classes))
            let tokens = try sampler.tokens(labels: labels, perLabel: perLabel, seed: configuration.run.seed)
            let (pixels, shape) = try rendering(tokens)
            picture = try Picture(grid: pixels, shape: shape, columns: perLabel, scale: max(1, 48 / shape[2]))
        }
        let digits = String(trainer.step)
        let name = "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".png"
        try PNG.write(
            picture,
            text: [
                PNG.Text("Software", "driftgpu"), PNG.Text("driftgpu.step", digits),
                PNG.Text("driftgpu.config", String(decoding: configuration.json(), as: UTF8.self)),
            ], to: folder.samplesPath + "/" + name)
        return picture
    }
}
