import DriftData
import DriftFormats
import DriftGPU

/// Trains a model step by step on one device.
///
/// A step is a pure function of the stored tensors and (seed, step): which labels and images it takes, its noise and its
/// dropout are drawn from counters. So a resumed run continues bit for bit. Where gradients are accumulated, each part of a
/// step draws under a number of its own, step * parts + part.
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
    private struct Phase {
        let isSecond: Bool
        let graph: TrainingGraph
        let executor: Executor
        /// Where gradients are accumulated.
        let update: (graph: AccumulatedStep, executor: Executor)?
    }
    private var phase: Phase?
    /// Receives the times of every launch when set, on a device opened for profiling.
    public var profiler: Profiler? {
        didSet {
            phase?.executor.profiler = profiler
            phase?.update?.executor.profiler = profiler
        }
    }

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
        phases = configuration.phases
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

    /// The schedule of a step on a device that need not be there, or of a part of one where gradients are accumulated.
    public static func plannedSchedule(
        _ configuration: Configuration, imageCount: Int? = nil, form: ImageForm = .pixels, isSecondPhase: Bool = false,
        traits: DeviceTraits, gemm: any GEMMProvider
    ) throws -> Schedule {
        let training = try TrainingGraph(
            configuration.makeModel(), configuration, imageCount: imageCount ?? configuration.classes, form: form, isSecondPhase: isSecondPhase)
        return try Schedule(training.graph, traits: traits, gemm: gemm)
    }

    private func current() throws -> Phase {
        let isSecond = phases.isSecondPhase(Double(step))
        if let phase, phase.isSecond == isSecond { return phase }
        // The first phase's arena goes before the second's is made.
        phase = nil
        let training = try TrainingGraph(
            state.model, configuration, imageCount: images.storedCount, form: data.form, isSecondPhase: isSecond)
        let executor = try executor(for: training.graph)
        var update: (AccumulatedStep, Executor)?
        if configuration.accumulate > 1 {
            let graph = try AccumulatedStep(state.model, configuration, part: training, isSecondPhase: isSecond)
            update = (graph, try self.executor(for: graph.graph))
        }
        let made = Phase(isSecond: isSecond, graph: training, executor: executor, update: update)
        phase = made
        return made
    }

    private func executor(for graph: Graph) throws -> Executor {
        let executor = try memory.executor(graph, options: options)
        executor.profiler = profiler
        return executor
    }

    /// Flat buffers of the parameters, which a checkpoint keeps tensor by tensor.
    private static let keptByParameter: Set<String> = ["parameters", "ema", "moment1", "moment2"]
    /// What a step writes before it reads it, so that no checkpoint needs it.
    private static let writtenAnew: Set<String> = ["gradients", AccumulatedStep.gradientName]

    /// Stored tensors beyond the flat buffers that a resumed run needs: the optimiser's counters, the rings. A storage that a
    /// step changes is one of them unless it is declared above, so new state cannot be forgotten.
    func extraStorages() throws -> [Storage] {
        let phase = try current()
        let anew = Self.writtenAnew.union([phase.graph.lossSums.name])
        var written = phase.executor.schedule.writtenStorages
        if let update = phase.update { written.merge(update.executor.schedule.writtenStorages) { known, _ in known } }
        return written.values
            .filter { !Self.keptByParameter.contains($0.name) && !anew.contains($0.name) }
            .sorted { $0.name < $1.name }
    }

    /// Whether the last step counted; false where its loss or its gradient was not finite, so that it changed nothing. Waits
    /// for the device.
    func lastStepCounted() throws -> Bool {
        guard let phase else { return true }
        let state: [Float]
        if let update = phase.update {
            state = try update.executor.read(update.graph.norm)
        } else if let norm = phase.graph.norm {
            state = try phase.executor.read(norm)
        } else {
            return true
        }
        return state.count > 2 && state[2] == 1
    }

    /// Steps that counted, in the whole run. Waits for the device.
    func countedSteps() throws -> Int {
        Int(try memory.read(UInt32.self, from: TrainingGraph.counters)[0])
    }

    /// Whether every weight, and every one of the EMA, is a number. Waits for the device.
    func hasFiniteWeights() throws -> Bool {
        let block = 1 << 22
        for name in ["parameters", "ema"] {
            let storage = state.model.layout.storage(name)
            for start in stride(from: 0, to: storage.count, by: block) {
                let count = min(block, storage.count - start)
                let values = try memory.read(Float.self, from: storage, at: start, count: count)
                if !values.allSatisfy(\.isFinite) { return false }
            }
        }
        return true
    }

    /// Issues one step. Does not wait for it; call `metrics` or `Device.finish` now and then.
    public func advance() throws {
        let phase = try current()
        let time = Double(step)
        var inputs = phase.graph.inputs
        // The rate of the step's end: the first step of a warm-up would otherwise do nothing.
        let rate = Float(learningRate(time + 1))
        try inputs.set([rate], phase.graph.learningRate)
        try inputs.set([Float(phases.alpha(time))], phase.graph.alpha)
        for part in 0..<configuration.accumulate {
            if let restart = phase.graph.restart { try inputs.set([Float(part == 0 ? 1 : 0)], restart) }
            try issue(phase.graph, phase.executor, &inputs, number: step &* configuration.accumulate &+ part)
        }
        if let update = phase.update {
            try update.executor.write([rate], to: update.graph.learningRate)
            try update.executor.run()
        }
        step += 1
    }

    /// Issues the graph of a step, or of a part of one. `number` is what its draws are numbered by; `inputs` has what does
    /// not depend on it.
    private func issue(_ training: TrainingGraph, _ executor: Executor, _ inputs: inout InputBlock, number: Int) throws {
        let draw = try StepDraw(configuration, data.index, data.augmentation, step: number)
        let (labels, drops) = (draw.labels, draw.drops)
        let copies = training.labels.count / labels.count
        func spread<T>(_ values: [T], _ copies: Int) -> [T] { values.flatMap { Array(repeating: $0, count: copies) } }
        try inputs.set(spread(zip(labels, drops).map(state.model.label), copies), training.labels)
        try inputs.set(images.rows(of: draw, step: number), training.indices)
        if configuration.labelDrop > 0 {
            try inputs.set(spread(drops.map { $0 ? Float(0) : 1 }, copies), training.dropUniform)
        }
        if let imageLabels = training.imageLabels {
            try inputs.set(spread(labels.map { Int32($0) }, configuration.samplesPerLabel), imageLabels)
        }
        if let guidance = training.guidance {
            try inputs.set(GuidanceFeatures.values(draw.strengths), guidance.features)
            if let weight = guidance.weight { try inputs.set(draw.unconditionalWeights(configuration), weight) }
        }
        if let weight = training.negativeWeight { try inputs.set([Float(number == 0 ? 0 : 1)], weight) }
        try inputs.set(
            [
                UInt32(truncatingIfNeeded: configuration.seed), UInt32(truncatingIfNeeded: configuration.seed >> 32),
                UInt32(truncatingIfNeeded: number), UInt32(truncatingIfNeeded: number >> 32),
            ], training.clock)
        try inputs.write(to: memory)
        try executor.run()
    }

    /// Losses of the last step, by name, in the order they are shown; means over its parts where gradients are accumulated.
    /// Waits for the device.
    public func metrics() throws -> [(String, Double)] {
        guard let phase else { return [] }
        let losses = phase.graph.losses
        let values =
            phase.update != nil
            ? try memory.read(Float.self, from: phase.graph.lossSums)
            : try losses.flatMap { try phase.executor.read($0.value) }
        var result = zip(losses.flatMap(\.names), values).map { ($0, Double($1)) }
        if let update = phase.update {
            result.append(("gradient_norm", Double(try update.executor.read(update.graph.norm)[0])))
        } else if let norm = phase.graph.norm {
            result.append(("gradient_norm", Double(try phase.executor.read(norm)[0])))
        }
        result.append(("lr", learningRate(Double(step))))
        if phase.graph.usesAlpha { result.append(("alpha", phases.alpha(Double(step - 1)))) }
        let counters = try memory.read(UInt32.self, from: TrainingGraph.counters)
        result.append(("skipped", Double(counters[1])))
        result += images.metrics()
        try device.finish()
        return result
    }
}
