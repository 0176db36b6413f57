import ArgumentParser
import DriftAR
import DriftBench
import DriftData
import DriftFormats
import DriftGPU
import Foundation

struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "From a folder of pictures to new ones: an autoencoder of them and their latents (small gray pictures need none), a model, samples and figures.",
        discussion: "Says what it will do and about how long that takes, then does it by commands of its own, which it prints. Stopped, the same command goes on where it was. Ends with samples/grid.png in the output folder, and with figures: a classifier of the pictures judges samples and held-out pictures (figures.json), and nearest.png has the samples that come nearest to training pictures beside those.")

    @Option(help: ArgumentHelp("Pictures, in any form that driftgpu train takes.", valueName: "path")) var data: String
    @Option(name: [.short, .long], help: "Folder to write to. Default: out/NAME, with the name of the data's folder.") var output: String?
    @Option(help: ArgumentHelp("What model: photos-transdiff takes 12 passes for a picture, photos-drift one (and trains a feature encoder first), photos-mar one for each token; mnist-drift draws pixels in one pass. Default: photos-transdiff, of pixels mnist-drift.", valueName: CreationPlan.models.joined(separator: "|"))) var preset: String?
    @Option(help: ArgumentHelp("Side of the pictures. Default: as IDX files and CIFAR's batches have it, 64 for folders of pictures.", valueName: "n")) var size: Int?
    @Flag(inversion: .prefixedNo, help: "Take mirrored pictures for pictures, too: not for letters. Default: but for IDX files.") var flip: Bool?
    @Flag(inversion: .prefixedNo, help: ArgumentHelp("Whether the model draws an autoencoder's latents, or pixels. Default: pixels of gray pictures up to \(CreationPlan.pixelSide) on a side."))
    var autoencoder: Bool?
    @Option(help: ArgumentHelp("About how long the training may take; sets the steps of all parts.", valueName: "h")) var hours: Double?
    @Option(help: ArgumentHelp("Steps of the autoencoder.", valueName: "n")) var autoencoderSteps: Int?
    @Option(help: ArgumentHelp("Steps of the feature encoder of photos-drift.", valueName: "n")) var encoderSteps: Int?
    @Option(help: ArgumentHelp("Steps of the model.", valueName: "n")) var steps: Int?
    @Option(help: "Images of each class to draw at the end.") var perLabel: Int = 10
    @Option(help: "Strength of classifier-free guidance; 1 is none. Default: 2, of mnist-drift 1.") var cfg: Float?
    @Flag(help: "Say what would be done, and stop.") var plan = false
    @OptionGroup var deviceOptions: DeviceOptions

    func validate() throws {
        if let hours, !(hours > 0 && hours < 10000) { throw ValidationError("--hours \(hours): take a number above 0") }
        for (name, steps) in [("--autoencoder-steps", autoencoderSteps), ("--encoder-steps", encoderSteps), ("--steps", steps)] {
            if let steps, steps < 1 { throw ValidationError("\(name) \(steps): take 1 or more") }
            if steps != nil, hours != nil { throw ValidationError("\(name) and --hours exclude each other") }
        }
        if let size, size < 1 || size > 4096 { throw ValidationError("--size \(size): take 1 to 4096") }
        if !(2...100_000).contains(perLabel) { throw ValidationError("--per-label \(perLabel): take 2 to 100000") }
        if let cfg, !cfg.isFinite { throw ValidationError("--cfg \(cfg): take a finite number") }
    }

    func run() throws {
        try reporting {
            let interrupt = Interrupt()
            let path = URL(fileURLWithPath: data).standardizedFileURL.path
            let folder = output ?? "out/" + URL(fileURLWithPath: path).lastPathComponent
            let chosen = try prepare(path, folder)
            if plan { return }
            try Files.makeFolder(folder)
            try AtomicFile.write(Array(JSONEncoder.sorted.encode(chosen)) + [UInt8(ascii: "\n")], to: Self.file(folder))
            interrupt.begin()
            for words in commands(chosen, folder) { try run(words, interrupt) }
            try judge(chosen, folder, interrupt)
            Output.remark("done: \(folder)/samples/grid.png, \(folder)/nearest.png; more: driftgpu " + drawing(chosen, folder).map(\.shellQuoted).joined(separator: " "))
        }
    }

    private static func file(_ folder: String) -> String { folder + "/create.json" }

    /// The plan, said in lines: that of the folder where there is one, else a new one.
    private func prepare(_ path: String, _ folder: String) throws -> CreationPlan {
        let begun = begun(folder)
        var options = DataSource.Options()
        (options.height, options.width) = (size ?? begun?.size, size ?? begun?.size)
        options.defaultSize = (CreationPlan.ownSize, CreationPlan.ownSize)
        let source = try DataSource.open(path, options)
        source.announce()
        var chosen = try CreationPlan(
            source, path: path, preset: preset ?? begun?.preset, flip: flip ?? begun?.flip,
            autoencoder: autoencoder ?? begun.map { $0.autoencoderSteps != nil })
        let device = try deviceOptions.open()
        let peak = try Peaks.multiplyAdd(device)
        func seconds() throws -> [CreationPlan.Run: Double] {
            try chosen.seconds(source.training.index, peak: peak, traits: device.traits, gemm: device.gemm)
        }
        if Files.exists(Self.file(folder)) {
            chosen = try known(chosen, folder)
        } else if let hours {
            chosen = try chosen.lasting(hours: hours, seconds: seconds().values.reduce(0, +))
        } else {
            chosen.autoencoderSteps = chosen.autoencoderSteps.map { autoencoderSteps ?? $0 }
            chosen.encoderSteps = chosen.encoderSteps.map { encoderSteps ?? $0 }
            chosen.modelSteps = steps ?? chosen.modelSteps
        }
        if let autoencoderSteps, chosen.autoencoderSteps == nil {
            throw ConfigurationError("--autoencoder-steps \(autoencoderSteps): the model draws pixels of \(chosen.size)x\(chosen.size); --autoencoder has it draw latents")
        }
        if let encoderSteps, chosen.encoderSteps == nil {
            throw ConfigurationError("--encoder-steps \(encoderSteps): \(chosen.preset) has no feature encoder; photos-drift has")
        }
        let times = try seconds()
        Output.remark("\(counted(source.training.count, "picture")) of \(counted(source.training.classCount, "class", "classes")), \(source.heldOut.count) held out, at \(chosen.size)x\(chosen.size) pixels, on \(device.about.name)")
        let space = chosen.autoencoderSteps == nil ? "pixels" : "latents"
        var parts: [String] = []
        for (run, steps) in chosen.runs {
            let cost = "\(steps) steps, about \(NumberText.duration(times[run] ?? 0))"
            switch run {
            case .autoencoder:
                parts += ["an autoencoder: \(cost)", "every picture encoded once, \(chosen.flip ? "mirrored too: " : "")minutes"]
            case .encoder: parts.append("a feature encoder of the \(space): \(cost)")
            case .model: parts.append("a model of the \(space) (\(chosen.preset)): \(cost)")
            }
        }
        parts.append("\(perLabel * source.training.classCount) samples")
        let fitting = try chosen.judgingSeconds(peak: peak, traits: device.traits, gemm: device.gemm)
        if let fitting {
            let judged = chosen.judging.perLabel * chosen.judging.classes
            parts.append("a classifier of the pictures, about \(NumberText.duration(fitting)), which judges \(judged) samples and the pictures held out")
        }
        for (number, part) in parts.enumerated() { Output.remark("\(number + 1). \(part)") }
        let training = times.values.reduce(0, +)
        Output.remark("in all about \(NumberText.duration(training + (fitting ?? 0))) at the speed that the device has now")
        if training > Self.long {
            Output.remark("that is long: --hours 3 takes fewer steps, --size \(max(8, chosen.size / 16 * 8)) about a quarter of the work, a GPU (driftgpu devices) both as they are")
        }
        return chosen
    }

    /// Half a day.
    private static let long = 12 * 3600.0

    /// The plan in the folder's file; nil where there is no file, or another.
    private func begun(_ folder: String) -> CreationPlan? {
        try? JSONDecoder().decode(CreationPlan.self, from: Data(Files.read(Self.file(folder))))
    }

    /// The plan that the folder was begun with. Throws where it is about something else.
    private func known(_ asked: CreationPlan, _ folder: String) throws -> CreationPlan {
        guard let plan = begun(folder)?.judged(as: asked) else {
            throw DataError("no plan of driftgpu create", at: Self.file(folder), fix: "choose another --output")
        }
        var same = asked
        (same.autoencoderSteps, same.encoderSteps, same.modelSteps) = (plan.autoencoderSteps, plan.encoderSteps, plan.modelSteps)
        guard same == plan, (asked.autoencoderSteps == nil) == (plan.autoencoderSteps == nil) else {
            throw DataError(
                "was begun with \(plan.data) at \(plan.size) pixels, --\(plan.flip ? "" : "no-")flip, --\(plan.autoencoderSteps == nil ? "no-" : "")autoencoder, --preset \(plan.preset)", at: folder,
                fix: "give the same, or choose another --output")
        }
        let begun = [("--autoencoder-steps", autoencoderSteps, plan.autoencoderSteps), ("--encoder-steps", encoderSteps, plan.encoderSteps), ("--steps", steps, plan.modelSteps)]
        guard hours == nil, begun.allSatisfy({ $1 == nil || $1 == $2 }) else {
            let counts = begun.compactMap { name, _, steps in steps.map { "\(name) \($0)" } }.joined(separator: ", ")
            throw DataError("was begun with \(counts)", at: folder, fix: "leave out --hours and steps, or choose another --output")
        }
        return plan
    }

    /// The device of all commands, and how it multiplies.
    private var device: [String] {
        (deviceOptions.device.map { ["--device", $0] } ?? []) + (deviceOptions.gemm.map { ["--gemm", $0] } ?? [])
    }

    /// What is done up to the samples, as commands of this program.
    private func commands(_ plan: CreationPlan, _ folder: String) -> [[String]] {
        let training = device + (deviceOptions.precision.map { ["--precision", $0.rawValue] } ?? []) + ["--auto-resume"]
        func every(_ steps: Int) -> [String] { ["--steps", "\(steps)", "--sample-every", "\(max(1, steps / 10))"] }
        let mirrored = plan.flip ? "--flip" : "--no-flip"
        let pictures = ["--data", plan.data, "--size", "\(plan.size)"]
        let (vae, latents, features) = (folder + "/vae", folder + "/latents", folder + "/features")
        let drawn = plan.pixelPatch.map { pictures + ["--patch", "\($0)", mirrored] } ?? ["--latents", latents, mirrored, "--vae", vae]
        let compared = plan.encoderSteps == nil ? [] : ["--features", features]
        var commands: [[String]] = []
        for (run, steps) in plan.runs {
            let taught = every(steps) + training
            switch run {
            case .autoencoder:
                commands.append(["vae", "train"] + pictures + [mirrored, "--output", vae] + taught)
                commands.append(["cache"] + pictures + ["--vae", vae, "--output", latents] + (plan.flip ? ["--flip"] : []) + device)
            case .encoder:
                commands.append(["features", "train"] + drawn + ["--output", features] + taught)
            case .model:
                commands.append(["train", "--preset", plan.preset] + drawn + compared + ["--output", folder + "/model"] + taught)
            }
        }
        return commands + [sampling(plan, folder, perLabel: perLabel, to: folder + "/samples")]
    }

    private func drawing(_ plan: CreationPlan, _ folder: String) -> [String] {
        ["sample", "--checkpoint", folder + "/model"] + (plan.autoencoderSteps == nil ? [] : ["--vae", folder + "/vae"])
    }

    private func sampling(_ plan: CreationPlan, _ folder: String, perLabel: Int, to samples: String) -> [String] {
        drawing(plan, folder) + ["--per-label", "\(perLabel)", "--cfg", "\(cfg ?? plan.guidance)", "--format", "npy", "--output", samples] + device
    }

    /// Judges samples, about as many as pictures are held out: Frechet distances of sets of other sizes are no comparison.
    private func judge(_ plan: CreationPlan, _ folder: String, _ interrupt: Interrupt) throws {
        let (classifier, judged) = (folder + "/classifier.safetensors", folder + "/judged")
        let figures = ["--json", folder + "/figures.json", "--nearest", folder + "/nearest.png"]
        var space: [String] = []
        if plan.judging.classes > 1 {
            let fitting = ["eval", "--fit-classifier", "--data", plan.data, "--size", "\(plan.size)"] + (plan.flip ? ["--flip"] : [])
            if Files.exists(classifier) {
                Output.remark("\n\(classifier): there already")
            } else {
                try run(fitting + ["--steps", "\(plan.judging.classifierSteps)", "--output", classifier] + device, interrupt)
            }
            space = ["--classifier", classifier]
        }
        try run(sampling(plan, folder, perLabel: plan.judging.perLabel, to: judged), interrupt)
        try run(["eval", "--images", judged, "--data", plan.data] + space + figures + device, interrupt)
    }

    /// Runs one of them; ends as it does where it does not end well.
    private func run(_ words: [String], _ interrupt: Interrupt) throws {
        Output.remark("\n$ driftgpu " + words.map(\.shellQuoted).joined(separator: " "))
        let code = try ChildProgram([ChildProgram.ownPath] + words).wait(interrupt)
        if code == ExitCode.stopped.rawValue || code != 0 && interrupt.isRequested {
            Output.remark("stopped; the same driftgpu create goes on")
            throw ExitCode.stopped
        }
        guard code == 0 else { throw ExitCode(code) }
    }
}

extension JSONEncoder {
    /// Readable, the same bytes each time.
    fileprivate static var sorted: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return encoder
    }
}
