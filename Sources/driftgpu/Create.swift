import ArgumentParser
import DriftAR
import DriftBench
import DriftData
import DriftFormats
import DriftGPU
import Foundation

struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "From a folder of pictures to new ones: an autoencoder of them, their latents, a model, samples and figures.",
        discussion: "Says what it will do and about how long that takes, then does it by commands of its own, which it prints. Stopped, the same command goes on where it was. Ends with samples/grid.png in the output folder, and with figures: a classifier of the pictures judges samples and held-out pictures (figures.json), and nearest.png has the samples that come nearest to training pictures beside those.")

    @Option(help: ArgumentHelp("Pictures, in any form that driftgpu train takes.", valueName: "path")) var data: String
    @Option(name: [.short, .long], help: "Folder to write to. Default: out/NAME, with the name of the data's folder.") var output: String?
    @Option(help: ArgumentHelp("What model: photos-transdiff takes 100 passes for a picture, photos-drift one (and trains a feature encoder first), photos-mar one for each token.", valueName: CreationPlan.models.joined(separator: "|"))) var preset: String?
    @Option(help: ArgumentHelp("Side of the pictures, a multiple of 8.", valueName: "n")) var size: Int = 64
    @Flag(inversion: .prefixedNo, help: "Take mirrored pictures for pictures, too: not for letters.") var flip = true
    @Option(help: ArgumentHelp("About how long the training may take; sets the steps of all parts.", valueName: "h")) var hours: Double?
    @Option(help: ArgumentHelp("Steps of the autoencoder.", valueName: "n")) var autoencoderSteps: Int?
    @Option(help: ArgumentHelp("Steps of the feature encoder of photos-drift.", valueName: "n")) var encoderSteps: Int?
    @Option(help: ArgumentHelp("Steps of the model.", valueName: "n")) var steps: Int?
    @Option(help: "Images of each class to draw at the end.") var perLabel: Int = 10
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 2
    @Flag(help: "Say what would be done, and stop.") var plan = false
    @OptionGroup var deviceOptions: DeviceOptions

    func validate() throws {
        if let hours, !(hours > 0 && hours < 10000) { throw ValidationError("--hours \(hours): take a number above 0") }
        for (name, steps) in [("--autoencoder-steps", autoencoderSteps), ("--encoder-steps", encoderSteps), ("--steps", steps)] {
            if let steps, steps < 1 { throw ValidationError("\(name) \(steps): take 1 or more") }
            if steps != nil, hours != nil { throw ValidationError("\(name) and --hours exclude each other") }
        }
        if perLabel < 2 { throw ValidationError("--per-label \(perLabel): take 2 or more") }
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
            Output.remark("done: \(folder)/samples/grid.png, \(folder)/nearest.png; more: driftgpu sample --checkpoint \((folder + "/model").shellQuoted) --vae \((folder + "/vae").shellQuoted)")
        }
    }

    private static func file(_ folder: String) -> String { folder + "/create.json" }

    /// The plan, said in lines: that of the folder where there is one, else a new one.
    private func prepare(_ path: String, _ folder: String) throws -> CreationPlan {
        var options = DataSource.Options()
        (options.height, options.width) = (size, size)
        let source = try DataSource.open(path, options)
        source.announce()
        var chosen = try CreationPlan(source, path: path, preset: preset ?? begun(folder)?.preset ?? CreationPlan.models[0], size: size, flip: flip)
        let device = try deviceOptions.open()
        let peak = try Peaks.multiplyAdd(device)
        func seconds() throws -> [Double] { try chosen.seconds(source.training.index, peak: peak, traits: device.traits, gemm: device.gemm) }
        if Files.exists(Self.file(folder)) {
            chosen = try known(chosen, folder)
        } else if let hours {
            chosen = try chosen.lasting(hours: hours, seconds: seconds())
        } else {
            chosen.autoencoderSteps = autoencoderSteps ?? chosen.autoencoderSteps
            chosen.encoderSteps = chosen.encoderSteps.map { encoderSteps ?? $0 }
            chosen.modelSteps = steps ?? chosen.modelSteps
        }
        if let encoderSteps, chosen.encoderSteps == nil {
            throw ConfigurationError("--encoder-steps \(encoderSteps): \(chosen.preset) has no feature encoder; photos-drift has")
        }
        let times = try seconds()
        Output.remark("\(counted(source.training.count, "picture")) of \(counted(source.training.classCount, "class", "classes")), \(source.heldOut.count) held out, at \(size)x\(size) pixels, on \(device.about.name)")
        var parts = ["an autoencoder: \(chosen.autoencoderSteps) steps, about \(NumberText.duration(times[0]))"]
        parts.append("every picture encoded once, \(flip ? "mirrored too: " : "")minutes")
        if let steps = chosen.encoderSteps { parts.append("a feature encoder of the latents: \(steps) steps, about \(NumberText.duration(times[1]))") }
        parts.append("a model of the latents (\(chosen.preset)): \(chosen.modelSteps) steps, about \(NumberText.duration(times[times.count - 1]))")
        parts.append("\(perLabel * source.training.classCount) samples")
        let fitting = try chosen.judgingSeconds(peak: peak, traits: device.traits, gemm: device.gemm)
        if let fitting {
            let judged = chosen.judging.perLabel * chosen.judging.classes
            parts.append("a classifier of the pictures, about \(NumberText.duration(fitting)), which judges \(judged) samples and the pictures held out")
        }
        for (number, part) in parts.enumerated() { Output.remark("\(number + 1). \(part)") }
        let all = times.reduce(fitting ?? 0, +)
        Output.remark("in all about \(NumberText.duration(all)) at the speed that the device has now")
        if times.reduce(0, +) > Self.long {
            Output.remark("that is long: --hours 3 takes fewer steps, --size \(max(8, size / 16 * 8)) about a quarter of the work, a GPU (driftgpu devices) both as they are")
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
        guard same == plan else {
            throw DataError(
                "was begun with \(plan.data) at \(plan.size) pixels\(plan.flip ? "" : ", --no-flip"), --preset \(plan.preset)", at: folder,
                fix: "give the same, or choose another --output")
        }
        let begun = [("--autoencoder-steps", autoencoderSteps, plan.autoencoderSteps), ("--encoder-steps", encoderSteps, plan.encoderSteps), ("--steps", steps, plan.modelSteps)]
        guard hours == nil, begun.allSatisfy({ $1 == nil || $1 == $2 }) else {
            let counts = begun.compactMap { name, _, steps in steps.map { "\(name) \($0)" } }.joined(separator: ", ")
            throw DataError("was begun with \(counts)", at: folder, fix: "leave out --hours and steps, or choose another --output")
        }
        return plan
    }

    /// The device of all commands.
    private var device: [String] { deviceOptions.device.map { ["--device", $0] } ?? [] }

    /// What is done up to the samples, as commands of this program.
    private func commands(_ plan: CreationPlan, _ folder: String) -> [[String]] {
        let training = device + (deviceOptions.precision.map { ["--precision", $0.rawValue] } ?? []) + ["--auto-resume"]
        let (vae, latents, features) = (folder + "/vae", folder + "/latents", folder + "/features")
        let (model, samples) = (folder + "/model", folder + "/samples")
        func every(_ steps: Int) -> [String] { ["--steps", "\(steps)", "--sample-every", "\(max(1, steps / 10))"] }
        let mirrored = plan.flip ? "--flip" : "--no-flip"
        let onLatents = ["--latents", latents, mirrored, "--vae", vae]
        var commands = [
            ["vae", "train", "--data", plan.data, "--size", "\(plan.size)", mirrored, "--output", vae] + every(plan.autoencoderSteps) + training,
            ["cache", "--data", plan.data, "--size", "\(plan.size)", "--vae", vae, "--output", latents] + (plan.flip ? ["--flip"] : []) + device,
        ]
        if let steps = plan.encoderSteps { commands.append(["features", "train"] + onLatents + ["--output", features] + every(steps) + training) }
        let compared = plan.encoderSteps == nil ? [] : ["--features", features]
        commands.append(["train", "--preset", plan.preset] + onLatents + compared + ["--output", model] + every(plan.modelSteps) + training)
        commands.append(sampling(folder, perLabel: perLabel, to: samples))
        return commands
    }

    private func sampling(_ folder: String, perLabel: Int, to samples: String) -> [String] {
        ["sample", "--checkpoint", folder + "/model", "--vae", folder + "/vae", "--per-label", "\(perLabel)", "--cfg", "\(cfg)"]
            + ["--format", "npy", "--output", samples] + device
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
        try run(sampling(folder, perLabel: plan.judging.perLabel, to: judged), interrupt)
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
