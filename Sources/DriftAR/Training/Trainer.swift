import DriftGPU

/// Trains a Drift-AR model step by step on one device.
///
/// A step is a pure function of the stored tensors and (seed, step): which labels and images it takes, its noise and its
/// dropout are drawn from counters. So a resumed run continues bit for bit.
public final class Trainer {
    public let configuration: Configuration
    public let state: ModelState
    public let data: ImageSet
    /// Steps done.
    public private(set) var step: Int
    private let learningRate: LearningRate
    private let phases: PhaseSchedule
    private let options: Schedule.Options
    private let images: RealImages
    private var phase: (isSecond: Bool, graph: TrainingGraph, executor: Executor)?
    /// Receives the times of every launch when set, on a device opened for profiling.
    public var profiler: Profiler? { didSet { phase?.executor.profiler = profiler } }

    private var memory: DeviceMemory { state.memory }
    private var device: Device { memory.device }

    /// A trainer that stands at `step`. The state must have been initialised or loaded. `options`: how a step is scheduled.
    public init(
        _ configuration: Configuration, state: ModelState, data: ImageSet, step: Int = 0,
        options: Schedule.Options = Schedule.Options()
    ) throws {
        try configuration.validate()
        guard data.channels == configuration.channels, data.height == configuration.height, data.width == configuration.width
        else {
            throw ConfigurationError(
                "data: images are \(data.channels)x\(data.height)x\(data.width), the model takes \(configuration.channels)x\(configuration.height)x\(configuration.width); set channels, height and width")
        }
        guard data.classCount <= configuration.classes else {
            throw ConfigurationError("data: \(data.classCount) classes, the model has \(configuration.classes); set --classes")
        }
        let filled = data.index.members.filter { !$0.isEmpty }.count
        guard configuration.labelsInStep <= filled else {
            throw ConfigurationError(
                "labels-per-step \(configuration.labelsInStep): only \(filled) classes have images; set --labels-per-step")
        }
        self.configuration = configuration
        self.state = state
        self.data = data
        self.step = step
        self.options = options
        let total = Double(configuration.steps)
        learningRate = LearningRate(
            peak: configuration.learningRate, minimum: configuration.minimumLearningRate,
            warmup: Double(configuration.warmupSteps), total: total, kind: configuration.schedule,
            decayFraction: configuration.decayFraction)
        phases = PhaseSchedule(
            alpha0: configuration.alpha0, freezeFraction: configuration.freezeFraction, total: total)
        images = try RealImages(data, configuration, memory: state.memory)
        // The buffers of a phase not yet entered are part of a checkpoint too.
        for name in ["gradients", "moment1", "moment2"] { try memory.reserve(state.model.layout.storage(name)) }
    }

    /// A trainer on images in memory.
    public convenience init(
        _ configuration: Configuration, state: ModelState, data: Dataset, step: Int = 0,
        options: Schedule.Options = Schedule.Options()
    ) throws {
        try self.init(configuration, state: state, data: ImageSet(data), step: step, options: options)
    }

    /// What the next step's schedule looks like.
    public func schedule() throws -> Schedule { try executor().schedule }

    /// The next step's executor: for timing its parts.
    public func executor() throws -> Executor { try current().executor }

    /// The schedule of a first-phase step on a device that need not be there.
    public static func plannedSchedule(
        _ configuration: Configuration, traits: DeviceTraits, gemm: any GEMMProvider
    ) throws -> Schedule {
        let model = try DriftARModel(DriftARModel.Shape(configuration))
        let training = try TrainingGraph(model, configuration, imageCount: configuration.classes, isSecondPhase: false)
        return try Schedule(training.graph, traits: traits, gemm: gemm)
    }

    private func current() throws -> (graph: TrainingGraph, executor: Executor) {
        let isSecond = phases.isSecondPhase(Double(step))
        if let phase, phase.isSecond == isSecond { return (phase.graph, phase.executor) }
        // The first phase's arena goes before the second's is made.
        phase = nil
        let training = try TrainingGraph(
            state.model, configuration, imageCount: images.storedCount, form: data.form, isSecondPhase: isSecond)
        let schedule = try Schedule(training.graph, traits: device.traits, gemm: device.gemm, options: options)
        let executor = try Executor(schedule, memory: memory)
        executor.profiler = profiler
        phase = (isSecond, training, executor)
        return (training, executor)
    }

    /// Stored tensors beyond the flat buffers that a resumed run needs: the optimiser's counters, the rings.
    func extraStorages() throws -> [Storage] {
        let rings = try current().executor.schedule.storages.values.filter { $0.name.contains("_bank.") }
        return [TrainingGraph.counters] + rings.sorted { $0.name < $1.name }
    }

    /// Issues one step. Does not wait for it; call `metrics` or `Device.finish` now and then.
    public func advance() throws {
        let (training, executor) = try current()
        let draw = try StepDraw(configuration, data.index, data.augmentation, step: step)
        let (labels, drops) = (draw.labels, draw.drops)
        let group = configuration.samplesPerLabel
        let copies = training.labels.count / labels.count
        func spread<T>(_ values: [T]) -> [T] { values.flatMap { Array(repeating: $0, count: copies) } }
        try executor.write(spread(labels.map(Int32.init)), to: training.labels)
        try executor.write(images.rows(of: draw, step: step), to: training.indices)
        if configuration.labelDrop > 0 {
            try executor.write(spread(drops.map { $0 ? Float(0) : 1 }), to: training.dropUniform)
        }
        if configuration.groups == .tokens, copies != group {
            try memory.write(
                labels.flatMap { Array(repeating: Int32($0), count: group) },
                to: Storage("image_labels", count: labels.count * group, element: .int32))
        }
        if let weight = training.negativeWeight { try executor.write([Float(step == 0 ? 0 : 1)], to: weight) }
        let time = Double(step)
        try executor.write(
            [
                UInt32(truncatingIfNeeded: configuration.seed), UInt32(truncatingIfNeeded: configuration.seed >> 32),
                UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32),
            ], to: training.clock)
        // The rate of the step's end: the first step of a warm-up would otherwise do nothing.
        try executor.write([Float(learningRate(time + 1))], to: training.learningRate)
        try executor.write([Float(phases.alpha(time))], to: training.alpha)
        try executor.run()
        step += 1
    }

    /// Losses of the last step, by name, in the order they are shown. Waits for the device.
    public func metrics() throws -> [(String, Double)] {
        guard let (_, training, executor) = phase else { return [] }
        let losses = training.losses
        func value(_ tensor: Tensor) throws -> Double { Double(try executor.read(tensor)[0]) }
        var result: [(String, Double)] = [("loss", try value(losses.total)), ("drift", try value(losses.drift))]
        if let regression = losses.regression { result.append(("regression", try value(regression))) }
        if let entropy = losses.entropy { result.append(("entropy_loss", try value(entropy))) }
        let forces = try executor.read(losses.driftForce).map(Double.init)
        for (radius, force) in zip(configuration.radii, forces) { result.append(("force_\(radius)", force)) }
        result.append(("scale", try value(losses.driftScale)))
        result.append(("entropy", try value(losses.meanEntropy)))
        result.append(("gradient_norm", try value(losses.norm)))
        result.append(("lr", learningRate(Double(step))))
        result.append(("alpha", phases.alpha(Double(step - 1))))
        let counters = try memory.read(UInt32.self, from: TrainingGraph.counters)
        result.append(("skipped", Double(counters[1])))
        result += images.metrics()
        try device.finish()
        return result
    }
}
