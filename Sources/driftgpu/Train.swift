import ArgumentParser
import DriftAR
import DriftBench
import DriftData
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation

extension Wire: ExpressibleByArgument {}

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a model on images in classes; without arguments, on the handwritten digits that the program carries.",
        discussion: "Writes config.json, metrics.jsonl, checkpoints/ and samples/ to the output folder. Ctrl-C finishes the step, saves, says how to resume and ends with exit code 75; so do SIGTERM, SIGHUP, SIGUSR1 and a file named stop in the output folder. SIGUSR2, or a file named save, saves and goes on. Started by mpirun or srun, or with --ranks, several processes share each step.")

    @Option(help: "Settings to start from. Default: digits; of vae train autoencoder, of features train features, or latent-features with --latents.") var preset: String?
    @Option(help: "JSON file with settings (the form of a run's config.json); flags go before it, it goes before the preset.")
    var config: String?
    @Option(name: [.short, .long], help: "Folder of the run. Default: out/PRESET.") var output: String?
    @Flag(help: "Continue the run in the output folder from its newest checkpoint.") var resume = false
    @Flag(help: "As --resume where the output folder holds a run, else start one: for commands that are repeated.") var autoResume = false
    @Flag(help: "Replace the run in the output folder.") var overwrite = false
    @Option(name: [.customLong("init")], help: ArgumentHelp("Weights a new run starts from: a .safetensors file, a run's folder (its EMA) or a checkpoint's. What fits is taken, the rest is named.", valueName: "path"))
    var initialWeights: String?
    @Flag(help: "Write figures and sample grids as TensorBoard's event files too, to tensorboard/ in the output folder; a run that has them goes on with them.")
    var tensorboard = false
    @Flag(help: "Print the schedule of a step and what the run needs of the device's memory, and stop.") var printPlan = false
    @Flag(help: "Print the largest step that fits the device's memory, and stop: a larger batch wants another learning rate and fewer steps, so it is not taken by itself.")
    var findBatch = false
    @Option(help: ArgumentHelp("Profile 20 steps, write a Chrome trace to this file, print the time by kernel, and stop.", valueName: "file"))
    var profile: String?
    @OptionGroup(title: "Data") var dataOptions: DataOptions
    @OptionGroup(title: "Autoencoder of the sample grids of latents") var vaeOptions: VAEOptions
    @OptionGroup var deviceOptions: DeviceOptions
    @OptionGroup var rankOptions: RankOptions
    @Option(help: "What processes send gradients as: fp32, or bf16, half the bytes, which rounds them.") var wire = Wire.fp32
    @OptionGroup(title: "Hyper-parameters") var hyperparameters: Hyperparameters

    private static let ownPreset = "digits"
    /// With fewer pictures than this an autoencoder learns them by heart and does badly on others.
    private static let fewPictures = 500

    func validate() throws {
        let given = [("--resume", resume), ("--auto-resume", autoResume), ("--overwrite", overwrite)].filter(\.1)
        if given.count > 1 { throw ValidationError("\(given[0].0) and \(given[1].0) exclude each other") }
        if findBatch, hyperparameters.batch != nil || hyperparameters.samplesPerLabel != nil {
            throw ValidationError("--find-batch looks for --batch; leave that and --samples-per-label out")
        }
    }

    func run() throws {
        try reporting {
            let isLooking = printPlan || findBatch || profile != nil
            let path = output ?? "out/" + (preset ?? Self.ownPreset)
            // MPI's threads must have the signals blocked, too; a process that starts others takes them by itself.
            let interrupt = isLooking || rankOptions.startsOthers ? nil : Interrupt()
            let ranks = isLooking ? SingleRank() : try rankOptions.start(folder: path)
            let run = try ranks.together { try prepare(path, ranks) }
            if let run, let interrupt { try train(run, path: path, ranks, interrupt) }
        }
    }

    /// The run, ready to begin; nil where its plan, its largest step or its profile was asked for.
    private func prepare(_ path: String, _ ranks: any RankGroup) throws -> TrainingRun? {
        var settings = try Configuration.preset(preset ?? Self.ownPreset)
        // Before anything is read: a mistyped folder shows at once.
        if !printPlan, !findBatch, profile == nil, ranks.isFirst { try RunFolder(path).check(existing) }
        let isResumed = (resume || autoResume) && FileManager.default.fileExists(atPath: RunFolder(path).configurationPath)
        if isResumed {
            settings = try RunFolder(path).configuration()
        }
        if let config {
            settings = try settings.merging(json: Data(Files.read(config)), from: config)
        }
        try hyperparameters.apply(to: &settings)
        share(&settings, among: ranks.count, isResumed: isResumed)
        if let precision = deviceOptions.precision { settings.run.precision = precision }
        let source = try dataOptions.open(
            &settings, hyperparameters, hasSize: !Configuration.carriesData(settings.preset) || config != nil, isFixed: isResumed)
        let data = source.training
        if !isResumed, config == nil, !hyperparameters.hasBatch { settings.fitBatch(to: data.index) }
        if settings.head.autoencoder != nil, data.count < Self.fewPictures, ranks.isFirst {
            Output.remark("\(data.count) pictures to train on: an autoencoder learns so few by heart; psnr, of those held out, will show it")
        }
        // What follows from the data is calculated from settings that are in range, and checked in its turn.
        try settings.validate()
        try hyperparameters.applyData(to: &settings, imageCount: data.count)
        try settings.validate()
        let vae = try vaeOptions.weights()
        let device = try deviceOptions.open(
            profiling: profile != nil, precision: settings.run.precision, taking: rankOptions.device(deviceOptions.device, ranks))
        if printPlan {
            try plan(settings, data: data, device: device)
            return nil
        }
        if findBatch {
            try printLargest(settings, data: data, device: device)
            return nil
        }
        if let profile {
            try inspect(settings, data: data, device: device, trace: profile)
            return nil
        }
        let run = try TrainingRun(
            settings, data: data, heldOut: source.heldOut, path: path, existing: existing, device: device, autoencoder: vae.map { Autoencoder($0, device: device) },
            weights: try initialWeights.map { try SavedModel.file($0) }, ranks: ranks, wire: wire)
        let places = try RankDevice.places(ranks, device.about)
        if ranks.isFirst {
            if let taken = run.initialWeights { Output.remark(taken.description) }
            if ranks.count > 1 { Output.remark("\(ranks.count) processes share each step: \(RankDevice.summary(places))") }
            let parts = settings.run.accumulate / ranks.count
            if ranks.count > 1, parts & (parts - 1) != 0 {
                Output.remark("\(parts) parts of a step in each of \(ranks.count) processes: another number of processes rounds their sum in another way; with 1, 2, 4 ... parts each it has the same bits")
            }
            if ranks.count > 1, settings.loss.groups == .tokens {
                Output.remark("each process keeps banks of its own images; a resumed run begins with those of rank 0 in all of them")
            }
        }
        return run
    }

    /// A step has as many parts as all processes take together: --accumulate is for each of them, what a file says is for all. So a run's
    /// settings are those of one process that takes all parts, and it can go on with another number of processes.
    private func share(_ settings: inout Configuration, among count: Int, isResumed: Bool) {
        guard count > 1, !isResumed || hyperparameters.accumulate != nil else { return }
        if hyperparameters.accumulate != nil || settings.run.accumulate == 1 {
            let (parts, overflows) = settings.run.accumulate.multipliedReportingOverflow(by: count)
            // Validation refuses it.
            settings.run.accumulate = overflows ? .max : parts
        }
    }

    private var existing: TrainingRun.Existing {
        resume ? .resume : autoResume ? .resumeIfAny : overwrite ? .overwrite : .refuse
    }

    private func train(_ run: TrainingRun, path: String, _ ranks: any RankGroup, _ interrupt: Interrupt) throws {
        func remark(_ text: String) { if ranks.isFirst { Output.remark(text) } }
        let device = run.trainer.state.memory.device
        let steps = run.trainer.configuration.run.steps
        guard run.trainer.step < steps else {
            if let written = try run.writeMissingAutoencoder() { remark("\(written): was missing, written") }
            remark(
                "\(path): finished at step \(run.trainer.step) already; train on with a larger --steps, or see driftgpu \(next(run, path))")
            return
        }
        let products = device.precision == .fp32 ? "" : ", \(device.precision.rawValue) products"
        remark(
            "\(run.trainer.configuration.preset): \(run.trainer.state.model.layout.parameterCount) parameters, step \(run.trainer.step) of \(steps), on \(device.about.name)\(products)")
        remark(run.memory.description)
        let progress = ProgressLine(
            from: run.trainer.step, total: steps, output: ranks.isFirst ? .standardError : .custom(columns: nil, { _ in }))
        interrupt.begin()
        // Each time: hundredths of a second, and clocks and neighbours are those of this run. A run does not fail for this figure.
        let peak = ranks.isFirst ? try? Peaks.multiplyAdd(device) : nil
        switch try run.train(
            progress: progress, peak: peak, tensorboard: tensorboard, shouldStop: { interrupt.isRequested }, shouldSave: { interrupt.takeSave() })
        {
        case .finished:
            remark("done: \(path)/samples, \(path)/checkpoints; next: driftgpu \(next(run, path))")
        case .interrupted:
            remark("stopped at step \(run.trainer.step); continue with: driftgpu train --resume --output \(path.shellQuoted)")
            throw ExitCode.stopped
        }
    }

    /// What to do with a finished run.
    private func next(_ run: TrainingRun, _ path: String) -> String {
        let data = run.trainer.configuration.data
        if run.trainer.configuration.head.autoencoder != nil {
            return "cache --vae \(path.shellQuoted) --data \(data.path.shellQuoted) --size \(data.height) --output LATENTS"
        }
        if run.trainer.configuration.head.maskedAutoencoder != nil {
            // Latents are no images to judge.
            if !run.trainer.data.form.arePixels { return "train --preset photos-drift --features \(path.shellQuoted) --latents \(data.path.shellQuoted)" }
            return "eval --features \(path.shellQuoted) --data \(data.path.shellQuoted) --images SAMPLES"
        }
        return (run.trainer.data.form.arePixels ? "eval" : "sample") + " --checkpoint \(path.shellQuoted)"
    }

    /// Prints what a step does and what the run needs. Allocates nothing: a device too small for the run can still say so.
    private func plan(_ settings: Configuration, data: ImageSet, device: Device) throws {
        func memory(_ gradCheckpointing: Bool) throws -> TrainingMemory {
            var changed = settings
            changed.run.gradCheckpointing = gradCheckpointing
            return try TrainingMemory(
                changed, data: data, maxAllocation: device.allocationLimit, traits: device.traits, gemm: device.gemm)
        }
        let (plain, recomputing) = (try memory(false), try memory(true))
        let own = settings.run.gradCheckpointing ? recomputing : plain
        for schedule in own.schedules { Output.line(schedule.listing) }
        Output.line(
            "arena with --grad-checkpointing \(recomputing.arenas[0]) bytes, without \(plain.arenas[0])")
        Output.line(own.description)
    }

    /// Prints the largest step that fits the device's memory, and what makes it larger.
    private func printLargest(_ settings: Configuration, data: ImageSet, device: Device) throws {
        func search(_ gradCheckpointing: Bool) throws -> BatchSearch {
            var changed = settings
            changed.run.gradCheckpointing = gradCheckpointing
            return try BatchSearch(
                changed, data: data, limits: TrainingMemory.Limits(device), traits: device.traits, gemm: device.gemm)
        }
        let found = try search(settings.run.gradCheckpointing)
        let memory = NumberText.bytes(device.about.globalMemory)
        Output.line("largest step on \(device.about.name), which has \(memory): \(found)")
        if !settings.run.gradCheckpointing {
            let more = try search(true)
            if more.configuration.batch > found.configuration.batch {
                Output.line("with --grad-checkpointing: \(more)")
            }
        }
        Output.line("train with it: \(found.flags(instead: settings)); the learning rate \(settings.optimizer.learningRate) was chosen for other steps, --blr sets one for 256 images")
    }

    /// Prints where the time of a step goes.
    private func inspect(_ settings: Configuration, data: ImageSet, device: Device, trace profile: String) throws {
        let state = ModelState(
            try settings.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: settings.run.seed)
        try FrozenEncoder(settings)?.initialize(seed: settings.run.seed, in: state.memory)
        let trainer = try Trainer(settings, state: state, data: data)
        // Of a model that hides tokens each number of them has a graph, whose making is no part of a step.
        try trainer.prepareAllParts()
        for schedule in try trainer.schedules() { Output.line(schedule.summary) }
        // The first steps compile kernels.
        for _ in 0..<5 { try trainer.advance() }
        try device.finish()
        let profiler = Profiler()
        state.memory.profiler = profiler
        let count = 20
        let clock = ContinuousClock()
        let elapsed = try clock.measure {
            for _ in 0..<count { try trainer.advance() }
            try device.finish()
        }
        try AtomicFile.write([UInt8](profiler.chromeTrace()), to: profile)
        let totals = try profiler.totals()
        let wall = Double(elapsed.components.attoseconds) / 1e15 + Double(elapsed.components.seconds) * 1000
        let inKernels = totals.reduce(0) { $0 + $1.milliseconds }
        for total in totals {
            let share = 100 * total.milliseconds / inKernels
            Output.line(
                String(format: "%9.3f ms/step %5.1f%% %5d launches/step  ", total.milliseconds / Double(count), share, total.launches / count)
                    + total.name)
        }
        Output.line(
            String(format: "%9.3f ms/step in kernels, %.3f ms/step wall", inKernels / Double(count), wall / Double(count)))
    }
}
