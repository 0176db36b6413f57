import DriftData
import DriftFormats
import DriftGPU

/// What a training run will take of a device's memory, known from its schedules before anything is allocated: parameters,
/// what training keeps beside them, images, rings, activations of the larger phase, and the drawing of samples. What
/// libraries and drivers take for themselves is not in it, nor what an autoencoder takes that decodes samples of latents.
public struct TrainingMemory: Sendable {
    /// What a device offers; 0 where it does not say.
    public struct Limits: Sendable {
        public var name: String
        public var globalMemory: Int
        /// Largest single allocation.
        public var maxAllocation: Int
        /// What an error about that allocation ends with.
        var hint = ""

        public init(name: String, globalMemory: Int, maxAllocation: Int) {
            self.name = name
            self.globalMemory = globalMemory
            self.maxAllocation = maxAllocation
        }

        /// The limits of a real device.
        public init(_ device: Device) {
            self.init(
                name: device.about.name, globalMemory: device.about.globalMemory, maxAllocation: device.allocationLimit)
            hint = device.allocationHint
        }
    }

    /// A share of the memory.
    public enum Part: String, CaseIterable, Sendable {
        case parameters, gradients, moments, ema = "EMA", images, banks, activations, samples, inputs
    }

    /// Bytes of every part.
    public private(set) var bytes: [Part: Int] = [:]
    /// The largest single allocation.
    public private(set) var largest: (name: String, part: Part, bytes: Int) = ("", .inputs, 0)
    /// Bytes of a step's activations (the arena) in every phase the run goes through.
    public private(set) var arenas: [Int] = []
    /// The schedules of a step in the first phase the run goes through: those of a part and of the update.
    public let schedules: [Schedule]
    public var total: Int { bytes.values.reduce(0, +) }

    private let configuration: Configuration
    private let replan: @Sendable (Configuration) throws -> Int

    /// The memory of a run on a device of these traits. `imageCount`: images of that form kept on the device; one step's images
    /// where they are streamed. `processes`: how many share a step.
    public init(
        _ configuration: Configuration, imageCount: Int, form: ImageForm = .pixels, processes: Int = 1, traits: DeviceTraits,
        gemm: any GEMMProvider
    ) throws {
        self.configuration = configuration
        let phases = configuration.phases
        @Sendable func plan(_ configuration: Configuration, isSecondPhase: Bool) throws -> [Schedule] {
            try Trainer.plannedSchedules(
                configuration, imageCount: imageCount, form: form, isSecondPhase: isSecondPhase, processes: processes, traits: traits,
                gemm: gemm)
        }
        let isSecond = phases.isSecondPhase(0)
        // Whether each of the run's phases is the second.
        let kinds = isSecond || !phases.isSecondPhase(Double(configuration.run.steps - 1)) ? [isSecond] : [false, true]
        let schedules = try kinds.map { try plan(configuration, isSecondPhase: $0) }
        self.schedules = schedules[0]
        @Sendable func arena(_ schedules: [Schedule]) -> Int { schedules.map(\.plan.arenaBytes).max() ?? 0 }
        replan = { arena(try plan($0, isSecondPhase: isSecond)) }
        arenas = schedules.map(arena)

        let model = try configuration.makeGenerator()
        var storages = ["parameters", "ema", "gradients", "moment1", "moment2"].map(model.layout.storage)
        storages += schedules.joined().flatMap(\.storages.values)
        let activations = arenas.max() ?? 0
        storages = Storage.allocated(for: storages)
        for storage in storages { add(storage, to: Self.part(of: storage.name)) }
        let sampled = try Sampler.planned(
            configuration.drawings, model: model, weights: configuration.run.evalWeights.buffer,
            batchLimit: configuration.sampleBatch, traits: traits, gemm: gemm, known: Set(storages.map(\.name)))
        for storage in sampled.storages { add(storage, to: .samples) }
        add(activations, named: "arena", to: .activations)
        // All graphs compute in one arena: samples take what theirs is larger.
        if sampled.arenaBytes > activations {
            bytes[.samples, default: 0] += sampled.arenaBytes - activations
            if sampled.arenaBytes > largest.bytes { largest = ("arena of samples", .samples, sampled.arenaBytes) }
        }
    }

    /// The memory of a run on these images, on a device of that largest single allocation.
    public init(
        _ configuration: Configuration, data: ImageSet, maxAllocation: Int, processes: Int = 1, traits: DeviceTraits,
        gemm: any GEMMProvider
    ) throws {
        try self.init(
            configuration,
            imageCount: RealImages.storedCount(
                data, configuration, configuration.makeGenerator().needs, maxAllocation: maxAllocation), form: data.form,
            processes: processes, traits: traits, gemm: gemm)
    }

    private mutating func add(_ storage: Storage, to part: Part) {
        add(storage.count * storage.element.byteCount, named: storage.name, to: part)
    }

    private mutating func add(_ count: Int, named name: String, to part: Part) {
        guard count > 0 else { return }
        // As `Buffer` rounds.
        let size = max(4, (count + 3) & ~3)
        bytes[part, default: 0] += size
        if size > largest.bytes { largest = (name, part, size) }
    }

    private static func part(of storage: String) -> Part {
        switch storage {
        case "parameters", FrozenEncoder.storageName: .parameters
        case "gradients": .gradients
        case _ where storage.hasPrefix(UpdateGraph.gradientSumName): .gradients
        case "moment1", "moment2": .moments
        case "ema": .ema
        case "images": .images
        case _ where storage.contains("_bank."): .banks
        default: .inputs
        }
    }

    // MARK: Refusing

    /// Throws where the device does not have the memory: one line that says what is needed, what there is, and what would
    /// help.
    public func check(_ limits: Limits) throws {
        guard let excess = excess(limits) else { return }
        throw ConfigurationError("\(excess.what); \(try remedies(excess.parts))\(excess.hint)")
    }

    /// What the device does not have the memory for, and the parts that take the most; nil where it has it.
    func excess(_ limits: Limits) -> (what: String, parts: [Part], hint: String)? {
        if limits.globalMemory > 0, total > limits.globalMemory {
            let most = bytes.filter { $0.value > total / 8 }.sorted { $0.value > $1.value }.map(\.key)
            return ("the run \(self), but \(limits.name) has \(NumberText.bytes(limits.globalMemory))", most, "")
        }
        if limits.maxAllocation > 0, largest.bytes > limits.maxAllocation {
            return (
                "the run needs \(NumberText.bytes(largest.bytes)) in one piece (\(largest.name)), but \(limits.name) gives at most \(NumberText.bytes(limits.maxAllocation))",
                [largest.part], limits.hint)
        }
        return nil
    }

    /// What makes the given parts smaller.
    private func remedies(_ parts: [Part]) throws -> String {
        var list: [String] = []
        for part in parts {
            switch part {
            case .activations:
                if !configuration.run.gradCheckpointing {
                    var changed = configuration
                    changed.run.gradCheckpointing = true
                    let arena = try replan(changed)
                    list.append("--grad-checkpointing (activations \(NumberText.bytes(arena)))")
                }
                list.append(
                    configuration.run.samplesPerLabel > 1 || configuration.labelsInStep > 1
                        ? "a smaller --batch with --accumulate" : "a smaller model")
                let kind = configuration.head.kind
                if kind == DecoderHeadSettings.kind || kind == DiTHeadSettings.kind { list.append("fewer --positives") }
            case .banks:
                if configuration.loss.bankContents == .features, configuration.data.tokenWidth < configuration.network.embed {
                    list.append("--bank-contents tokens")
                }
                list.append("a smaller --positive-bank or --negative-bank")
            case .samples: list.append(configuration.run.onlineEval > 0 ? "fewer --online-eval-images" : "a smaller --batch")
            case .images: list.append("--resident never, or fewer or smaller images")
            case .parameters, .gradients, .moments, .ema: list.append("a smaller --embed or fewer blocks")
            case .inputs: list.append("a smaller --batch")
            }
        }
        var seen: Set<String> = []
        return "what would help: " + list.filter { seen.insert($0).inserted }.joined(separator: ", ")
    }
}

extension TrainingMemory: CustomStringConvertible {
    /// For example: needs 1.2 GB on the device: parameters 200 MB, ...
    public var description: String {
        let parts = Part.allCases.compactMap { part in
            bytes[part].map { "\(part.rawValue) \(NumberText.bytes($0))" }
        }
        return "needs \(NumberText.bytes(total)) on the device: " + parts.joined(separator: ", ")
    }
}
