import DriftData
import DriftFormats
import DriftGPU

/// Trains a model step by step on one device, alone or as one of several processes that share each step.
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
    /// Operations on numbers that this trainer has issued, as the kernels count them; what is computed again for the backward pass counts.
    package private(set) var flops = 0.0
    private let learningRate: LearningRate
    private let phases: PhaseSchedule
    private let options: Schedule.Options
    /// Between the parts of a step and its update.
    package let exchange: any GradientExchange
    private let share: StepShare
    private let images: RealImages
    private struct Part {
        let graph: PartGraph
        let executor: Executor
        /// The step after which each bucket of gradients is there, where buckets can go while later ones are computed.
        let turns: [Int]
        let flops: Double
    }
    private struct Phase {
        let isSecond: Bool
        let update: (graph: UpdateGraph, executor: Executor)
        let updateFlops: Double
        let sums: PartSums
        /// What the processes exchange.
        let buckets: [ExchangeBucket]
        /// By the number of tokens that the part hides; all compute in one arena.
        var parts: [Int?: Part] = [:]
        /// What ran last.
        var last: PartGraph
    }
    private var phase: Phase?
    /// From where on each bucket of the step's gradients is there.
    private var marks: [DeviceEvent?] = []

    private var memory: DeviceMemory { state.memory }
    private var device: Device { memory.device }

    /// A trainer that stands at `step`. The state must have been initialised or loaded. `options`: how a step is scheduled.
    public convenience init(
        _ configuration: Configuration, state: ModelState, data: ImageSet, step: Int = 0,
        options: Schedule.Options = Schedule.Options()
    ) throws {
        try self.init(configuration, state: state, data: data, step: step, options: options, exchange: SingleProcess())
    }

    /// The same for one of the processes of `exchange`.
    package init(
        _ configuration: Configuration, state: ModelState, data: ImageSet, step: Int = 0,
        options: Schedule.Options = Schedule.Options(), exchange: any GradientExchange
    ) throws {
        try configuration.validate()
        guard data.channels == configuration.data.channels, data.height == configuration.data.height, data.width == configuration.data.width
        else {
            throw ConfigurationError(
                "data: images are \(data.channels)x\(data.height)x\(data.width), the model takes \(configuration.data.channels)x\(configuration.data.height)x\(configuration.data.width); set channels, height and width")
        }
        guard data.classCount <= configuration.data.classes else {
            throw ConfigurationError("data: \(data.classCount) classes, the model has \(configuration.data.classes); set --classes")
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
        self.exchange = exchange
        let share = try StepShare(configuration, rank: exchange.rank, processes: exchange.processes)
        self.share = share
        let total = Double(configuration.run.steps)
        learningRate = LearningRate(
            peak: configuration.optimizer.learningRate, minimum: configuration.optimizer.minimumLearningRate,
            warmup: Double(configuration.optimizer.warmupSteps), total: total, kind: configuration.optimizer.schedule,
            decayFraction: configuration.optimizer.decayFraction)
        phases = configuration.phases
        images = try RealImages(data, configuration, state.model.needs, share, memory: state.memory)
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

    /// What the next step's schedules look like: that of its part, or of each of its parts, and that of its update.
    public func schedules() throws -> [Schedule] { try executors().map(\.schedule) }

    /// The next step's executors: for timing.
    public func executors() throws -> [Executor] {
        let part = try part(of: plan(step &* share.parts).masked)
        return [part.executor] + (phase.map { $0.sums.executors + [$0.update.executor] } ?? [])
    }

    /// The schedules of a step on a device that need not be there: that of its part, or of each of its parts, those that add up many
    /// parts, and that of its update. Where tokens are hidden, a part that hides the fewest comes first, and one that hides all of them
    /// second.
    public static func plannedSchedules(
        _ configuration: Configuration, imageCount: Int? = nil, form: ImageForm = .pixels, isSecondPhase: Bool = false,
        processes: Int = 1, traits: DeviceTraits, gemm: any GEMMProvider
    ) throws -> [Schedule] {
        try plannedGraphs(configuration, imageCount: imageCount, form: form, isSecondPhase: isSecondPhase, processes: processes)
            .map { try Schedule($0, traits: traits, gemm: gemm) }
    }

    /// The graphs of these schedules.
    static func plannedGraphs(
        _ configuration: Configuration, imageCount: Int? = nil, form: ImageForm = .pixels, isSecondPhase: Bool = false, processes: Int = 1
    ) throws -> [Graph] {
        let model = try configuration.makeGenerator()
        let share = try StepShare(configuration, processes: processes)
        let counts = model.needs.masking.map { Set([$0.counts.lowerBound, $0.counts.upperBound]).sorted() } ?? []
        let parts = try (counts.isEmpty ? [nil] : counts.map { $0 }).map { masked in
            try PartGraph(
                model, configuration, imageCount: imageCount ?? configuration.data.classes, form: form, isSecondPhase: isSecondPhase,
                masked: masked, parts: share.parts)
        }
        let update = try UpdateGraph(model, configuration, part: parts[0], share, isSecondPhase: isSecondPhase)
        let sums = try PartSums.graphs(update.summed, parts: share.parts).map(\.graph)
        return parts.map(\.graph) + sums + [update.graph]
    }

    /// The part of the present phase that hides so many tokens.
    private func part(of masked: Int?) throws -> Part {
        let isSecond = phases.isSecondPhase(Double(step))
        // The first phase's arena goes before the second's is made.
        if phase?.isSecond != isSecond { phase = nil }
        if let known = phase?.parts[masked] { return known }
        let graph = try PartGraph(
            state.model, configuration, imageCount: images.storedCount, form: data.form, isSecondPhase: isSecond, masked: masked,
            parts: share.parts)
        let executor = try executor(for: graph.graph)
        if phase == nil {
            let update = try UpdateGraph(state.model, configuration, part: graph, share, isSecondPhase: isSecond)
            let updating = try self.executor(for: update.graph)
            phase = Phase(
                isSecond: isSecond, update: (update, updating), updateFlops: Double(updating.schedule.traffic.flops),
                sums: try PartSums(update.summed, parts: share.parts, executor: self.executor),
                buckets: exchange.buckets(update.exchanged), last: graph)
        }
        let turns = share.parts == 1 && exchange.overlaps ? phase?.buckets.map { executor.schedule.lastTurn(of: $0.range, in: $0.storage) } : nil
        let made = Part(graph: graph, executor: executor, turns: turns ?? [], flops: Double(executor.schedule.traffic.flops))
        phase?.parts[masked] = made
        return made
    }

    /// Makes the graphs of all steps of the present phase, however many tokens they hide: for timing.
    package func prepareAllParts() throws {
        guard let masking = state.model.needs.masking else { return }
        for masked in masking.counts { _ = try part(of: masked) }
    }

    /// What this process's part `turn`, counted over all steps, takes.
    private func plan(_ turn: Int) throws -> StepPlan {
        try StepPlan(configuration, state.model.needs, data.index, data.augmentation, step: share.number(turn), isFirst: turn == 0)
    }

    private func executor(for graph: Graph) throws -> Executor {
        try memory.executor(graph, options: options)
    }

    /// Stored tensors beyond the flat buffers that a resumed run needs: the optimiser's counters, the rings. Whatever a step changes
    /// has a declared lifetime; throws where one has none, so that new state cannot be forgotten.
    func extraStorages() throws -> [Storage] {
        // These a checkpoint keeps tensor by tensor.
        let flat = ["parameters", "ema", "moment1", "moment2"]
        var written: [String: Storage] = [:]
        for executor in try executors() { written.merge(executor.schedule.writtenStorages) { known, _ in known } }
        return try written.values.filter { storage in
            switch storage.lifetime {
            case .run: return false
            case .checkpointed: return !flat.contains(storage.name)
            case .input, nil:
                throw GraphError("storage \(storage.name): a step changes it; declare whether it lives for a run or is checkpointed")
            }
        }.sorted { $0.name < $1.name }
    }

    /// Whether the last step counted; false where its loss or its gradient was not finite, so that it changed nothing. Waits
    /// for the device.
    func lastStepCounted() throws -> Bool {
        guard let phase else { return true }
        let norm = try phase.update.executor.read(phase.update.graph.norm)
        return norm.count > 2 && norm[2] == 1
    }

    /// Steps that counted, in the whole run. Waits for the device.
    func countedSteps() throws -> Int {
        Int(try memory.read(UInt32.self, from: UpdateGraph.counters)[0])
    }

    /// A number that differs where a bit of the weights or of their EMA does. Waits for the device.
    func weightsHash() throws -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        let block = 1 << 22
        for name in ["parameters", "ema"] {
            let storage = state.model.layout.storage(name)
            for start in stride(from: 0, to: storage.count, by: block) {
                let values = try memory.read(Float.self, from: storage, at: start, count: min(block, storage.count - start))
                for value in values { hash = (hash ^ UInt64(value.bitPattern)) &* 0x0000_0100_0000_01B3 }
            }
        }
        return hash
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

    /// Issues one step. Does not wait for it, unless there are other processes; call `metrics` or `Device.finish` now and then.
    ///
    /// `wishes` is asked once the step's parts are issued. Returns what any process wishes; throws in all of them where one failed.
    @discardableResult
    public func advance(wishes: () -> RunWishes = { [] }) throws -> RunWishes {
        // The rate of the step's end: the first step of a warm-up would otherwise do nothing.
        let rate = Float(learningRate(Double(step) + 1))
        var failure: (any Error)?
        marks = []
        do { try issueParts() } catch { failure = error }
        step += 1
        let agreed = try exchange.agree(failure == nil ? wishes() : [], failure: failure)
        guard let update = phase?.update, let buckets = phase?.buckets else { return agreed }
        try exchange.sum(buckets, ready: marks.isEmpty ? buckets.map { _ in nil } : marks, in: memory)
        try update.executor.write([rate], to: update.graph.learningRate)
        try update.executor.run()
        flops += phase?.updateFlops ?? 0
        return agreed
    }

    private func issueParts() throws {
        for number in 0..<share.parts {
            let turn = step &* share.parts &+ number
            let plan = try plan(turn)
            let part = try part(of: plan.masked)
            var inputs = part.graph.inputs
            try inputs.set([Float(phases.alpha(Double(step)))], part.graph.alpha)
            if let restart = part.graph.restart { try inputs.set([Float(PartSums.restarts(number) ? 1 : 0)], restart) }
            try issue(part, plan, turn: turn, &inputs)
            try phase?.sums.add(after: number)
        }
    }

    /// Issues the graph of a step, or of a part of one; `inputs` has what does not depend on the plan.
    private func issue(_ part: Part, _ draw: StepPlan, turn: Int, _ inputs: inout InputBlock) throws {
        let (training, number) = (part.graph, draw.step)
        let (labels, drops) = (draw.labels, draw.drops)
        let copies = training.labels.count / labels.count
        func spread<T>(_ values: [T]) -> [T] { values.flatMap { Array(repeating: $0, count: copies) } }
        let stage = state.model.stage
        try inputs.set(spread(zip(labels, drops).map { stage.label($0, isDropped: $1) }), training.labels)
        try inputs.set(images.rows(of: draw, turn: turn), training.indices)
        if configuration.run.labelDrop > 0 {
            try inputs.set(spread(drops.map { $0 ? Float(0) : 1 }), training.dropUniform)
        }
        for input in training.headInputs {
            switch input.values(draw) {
            case .floats(let values): try inputs.set(values, input.tensor)
            case .ints(let values): try inputs.set(values, input.tensor)
            }
        }
        try inputs.set(Philox.clock(seed: configuration.run.seed, number: number), training.clock)
        try inputs.write(to: memory)
        try run(part)
        flops += part.flops
        phase?.last = training
    }

    /// Issues a part's graph, with a mark behind the last step that touches each bucket of gradients.
    private func run(_ part: Part) throws {
        guard part.turns.count > 1 else {
            return try part.executor.run()
        }
        let count = part.executor.schedule.steps.count
        var made: [Int: DeviceEvent] = [:]
        var begun = 0
        for turn in Set(part.turns).sorted() where turn >= 0 && turn < count - 1 {
            try part.executor.run(steps: begun..<(turn + 1))
            made[turn] = try memory.mark()
            begun = turn + 1
        }
        try part.executor.run(steps: begun..<count)
        marks = part.turns.map { made[$0] }
    }

    /// Losses of the last step, by name, in the order they are shown; means over its parts where gradients are accumulated.
    /// Waits for the device.
    public func metrics() throws -> [(String, Double)] {
        guard let phase else { return [] }
        let losses = phase.last.losses
        let values = try memory.read(Float.self, from: phase.update.graph.exchanged[1])
        var result = zip(losses.flatMap(\.names), values).map { ($0, Double($1)) }
        result.append(("gradient_norm", Double(try phase.update.executor.read(phase.update.graph.norm)[0])))
        result.append(("lr", learningRate(Double(step))))
        if state.model.stage.hasLosses { result.append(("alpha", phases.alpha(Double(step - 1)))) }
        let counters = try memory.read(UInt32.self, from: UpdateGraph.counters)
        result.append(("skipped", Double(counters[1])))
        result += images.metrics()
        try device.finish()
        return result
    }
}
