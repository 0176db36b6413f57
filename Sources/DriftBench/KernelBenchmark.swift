import DriftAR
import DriftGPU
import Foundation

/// Every operation of a model's training step, forward and backward, or of an autoencoder, timed by itself at the model's own
/// shapes.
///
/// The cases are the distinct steps of the schedule that is run, so nothing that training launches is missing and
/// nothing else is timed. Each is timed with flushed caches and as soon as it has been run before; beside each repetition,
/// on what may be a busy machine, a copy of as many bytes and as many multiply-adds in registers are timed the same way.
/// So a share of 1 is as fast as the device moves such data, or computes that much, launch included.
public struct KernelBenchmark: Codable, Sendable {
    /// What keeps a case from being faster: the larger of the two times beside it, or the launch if both are hardly more.
    public enum Limit: String, Codable, Sendable { case memory, arithmetic, launch }

    /// One operation at one size.
    public struct Case: Codable, Sendable {
        /// Operation and output shapes; a product as m x n x k with its transposes.
        public let name: String
        /// How often a training step, or an image, takes it.
        public let perStep: Int
        public let launches: Int
        /// With flushed caches.
        public let timing: Timing
        /// Right after another run.
        public let warm: Timing
        /// The copy of as many bytes, with flushed caches.
        public let copy: Timing
        /// As many multiply-adds in registers.
        public let multiplyAdd: Timing
        public let bytes: Int
        public let flops: Int
        public let limit: Limit

        /// Bytes a second, with flushed caches.
        public var bandwidth: Double { Double(bytes) / timing.median }
        /// Operations a second, from warm caches.
        public var arithmetic: Double { Double(flops) / warm.median }
        public var bandwidthShare: Double { copy.median / timing.median }
        public var arithmeticShare: Double { multiplyAdd.median / warm.median }
    }

    public let size: String
    public private(set) var cases: [Case]

    /// The cases of a model or part of that name; `add` brings more.
    public init(size: String, cases: [Case] = []) { (self.size, self.cases) = (size, cases) }
    public mutating func add(_ entry: Case) { cases.append(entry) }
}

extension KernelBenchmark {
    /// Times the cases of a training step of `configuration`.
    ///
    /// - Parameters:
    ///   - filter: part of the names of the cases to time.
    ///   - progress: is told each case as it is done.
    public init(
        _ configuration: Configuration, device: Device, peaks: Peaks, repetitions: Int, filter: String = "",
        progress: (Case) throws -> Void
    ) throws {
        // A few blocks have every shape that many have: what is counted is the whole model's step, what is run is not.
        let masking = try configuration.makeGenerator().needs.masking
        // Of a model that hides tokens the first two are parts of one step: one counts.
        let parts = masking.map { $0.counts.lowerBound == $0.counts.upperBound ? 1 : 2 } ?? 1
        let whole = try Trainer.plannedSchedules(configuration, traits: device.traits, gemm: device.gemm).dropFirst(parts - 1)
        let counts = Dictionary(whole.flatMap(Self.distinct).map { ($0.kind, $0.count) }, uniquingKeysWith: +)
        var shallow = configuration
        // What is hidden changes shapes, by which counts are found: such a head is timed as it is.
        if masking == nil { shallow.head.depth = min(configuration.head.depth, 2) }
        if let label = configuration.stage.label {
            shallow.stage.label?.encoderDepth = min(label.encoderDepth, 2)
            shallow.stage.label?.draftDepth = min(label.draftDepth, 2)
        }
        let state = ModelState(try shallow.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: 1)
        try FrozenEncoder(shallow)?.initialize(seed: 2, in: state.memory)
        // Without reuse every operation finds the inputs that the step gave it, where there is memory for that.
        var options = Schedule.Options()
        let planned = try Trainer.plannedSchedules(shallow, traits: device.traits, gemm: device.gemm)
        let limit = min(device.allocationLimit, device.about.globalMemory / 2)
        options.reuse = planned[0].plan.bytesWithoutReuse > limit
        let trainer = try Trainer(shallow, state: state, data: shallow.randomImages(), options: options)
        try trainer.advance()
        try device.finish()
        self.init(
            size: configuration.preset,
            cases: try trainer.executors().flatMap {
                try Self.time($0, counts: counts, peaks: peaks, repetitions: repetitions, filter: filter, progress: progress)
            })
    }

    /// Times the cases of an autoencoder in the shape of kl16, with random weights, that encodes and decodes an image of `side`
    /// pixels each way.
    public init(
        autoencoder side: Int, device: Device, peaks: Peaks, repetitions: Int, filter: String = "", progress: (Case) throws -> Void
    ) throws {
        let weights = try VAEWeights(random: VAE.Shape(), seed: 1)
        let autoencoder = Autoencoder(weights, device: device, batchLimit: 1)
        let shape = weights.vae.shape
        let values = (0..<(shape.imageChannels * side * side)).map { sin(Float($0)) }
        let moments = try autoencoder.moments(values, height: side, width: side)
        let latent = side / shape.factor
        _ = try autoencoder.images(Array(moments.prefix(moments.count / 2)), height: latent, width: latent)
        self.init(
            size: "autoencoder",
            cases: try autoencoder.executors.flatMap {
                try Self.time($0, peaks: peaks, repetitions: repetitions, filter: filter, progress: progress)
            })
    }

    /// Times the distinct steps of what `executor` runs. `counts` has how often each is done, where that is
    /// not how often the executor does it.
    static func time(
        _ executor: Executor, counts: [String: Int] = [:], peaks: Peaks, repetitions: Int, filter: String,
        progress: (Case) throws -> Void
    ) throws -> [Case] {
        let device = executor.memory.device
        // Each step finds the inputs that a run gives it.
        try executor.run()
        let flush = try TimedGraph(device) { graph in graph.output(try graph.copy(graph.input("flush", [16 << 20]))) }
        var cases: [Case] = []
        for group in distinct(executor.schedule) where filter.isEmpty || group.name.contains(filter) {
            let step = group.step..<(group.step + 1)
            let traffic = executor.schedule.traffic(of: step)
            let copy = try TimedGraph(device) { graph in
                let count = max(traffic.bytes / 8, 1)
                graph.output(try graph.copy(graph.input("copied_\(count)", [count])))
            }
            let multiplyAdd = try TimedGraph(device) { graph in
                graph.output(try graph.apply(MultiplyAdd(flops: traffic.flops, traits: device.traits), [])[0])
            }
            func once() throws -> Double {
                try seconds {
                    try executor.run(steps: step)
                    try device.finish()
                }
            }
            func cold(_ body: () throws -> Double) throws -> Double {
                try flush.run()
                try device.finish()
                return try body()
            }
            var times: (cold: [Double], warm: [Double], copy: [Double], multiplyAdd: [Double]) = ([], [], [], [])
            // The first run binds and compiles.
            _ = try once()
            for _ in 0..<repetitions {
                times.cold.append(try cold(once))
                times.warm.append(try once())
                times.multiplyAdd.append(try multiplyAdd.time())
                times.copy.append(try cold(copy.time))
            }
            let (copyTime, multiplyAddTime) = (Timing(times.copy), Timing(times.multiplyAdd))
            let least = max(copyTime.median, multiplyAddTime.median)
            let result = Case(
                name: group.name, perStep: counts[group.kind] ?? group.count, launches: executor.schedule.steps[group.step].commands.count,
                timing: Timing(times.cold), warm: Timing(times.warm), copy: copyTime, multiplyAdd: multiplyAddTime,
                bytes: traffic.bytes, flops: traffic.flops,
                limit: least < 3 * peaks.launch
                    ? .launch : multiplyAddTime.median > copyTime.median ? .arithmetic : .memory)
            try progress(result)
            cases.append(result)
        }
        return cases
    }

    /// Steps of the same operation on the same shapes.
    struct Group {
        let name: String
        /// Name and input shapes: what tells groups apart.
        let kind: String
        /// The first of them.
        let step: Int
        var count: Int
    }

    /// The distinct steps of a schedule, in the order of their first.
    static func distinct(_ schedule: Schedule) -> [Group] {
        var places: [String: Int] = [:]
        var groups: [Group] = []
        for (index, step) in schedule.steps.enumerated() where !step.commands.isEmpty {
            let kind = ([step.label] + step.node.inputs.map(\.type.description)).joined(separator: " ")
            if let place = places[kind] {
                groups[place].count += 1
            } else {
                places[kind] = groups.count
                groups.append(Group(name: step.label, kind: kind, step: index, count: 1))
            }
        }
        return groups
    }
}
