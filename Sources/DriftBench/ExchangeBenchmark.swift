import DriftAR
import DriftData
import DriftGPU
import DriftMPI

/// The exchange of gradients between the processes of a training step.
public struct ExchangeBenchmark: Codable, Sendable {
    public let size: String
    public let processes: Int
    public let wire: String
    /// Most values of a message to one process.
    public let shardLimit: Int
    /// Whether buckets went while the backward pass still ran.
    public let overlaps: Bool
    /// Bytes of the gradients, in fp32.
    public let bytes: Int
    /// Seconds of an exchange with nothing beside it, in the slowest process.
    public let exchange: Timing
    /// Seconds of a step with the exchange, and of the same step without it; nil where none was run.
    public let step: Timing?
    public let stepAlone: Timing?

    /// Bytes a second that each process sends, and as many that it receives.
    public var bandwidth: Double {
        let share = 2 * Double(processes - 1) / Double(max(1, processes))
        return Double(bytes) * share * (wire == Wire.bf16.rawValue ? 0.5 : 1) / exchange.median
    }

    /// Part of the exchange that the backward pass hides.
    public var hidden: Double? {
        guard let step, let stepAlone else { return nil }
        return min(1, max(0, 1 - (step.median - stepAlone.median) / exchange.median))
    }

    /// Times `repetitions` exchanges, and as many steps where `withSteps`, fewer where they take long. All processes make it at once.
    public init(
        _ configuration: Configuration, ranks: any RankGroup, wire: Wire, overlaps: Bool, shardLimit limit: Int?, withSteps: Bool,
        repetitions: Int, device: Device
    ) throws {
        self.overlaps = overlaps
        var configuration = configuration
        configuration.run.accumulate = ranks.count
        let exchange = RankExchange(ranks, wire: wire, overlaps: false, shardLimit: limit)
        shardLimit = exchange.shardLimit
        (size, processes, self.wire) = (configuration.preset, ranks.count, wire.rawValue)
        let model = try configuration.makeGenerator()
        let gradients = model.layout.storage("gradients")
        bytes = gradients.count * MemoryLayout<Float>.stride
        /// The slowest process's seconds of a body that all run.
        func slowest(_ count: Int, _ body: () throws -> Void) throws -> Timing {
            try ranks.together(body)
            var times: [Double] = []
            let begun = ContinuousClock.now
            // How often is the same in every process: the first decides.
            while try ranks.broadcast(times.count < 3 || times.count < count && ContinuousClock.now - begun < .seconds(20)) {
                times.append(try ranks.allgather(ranks.together { try seconds(body) }).max() ?? 0)
            }
            return Timing(times)
        }
        let memory = DeviceMemory(device)
        try memory.reserve(gradients)
        let buckets = exchange.buckets([gradients])
        self.exchange = try slowest(repetitions) {
            try exchange.sum(buckets, ready: buckets.map { _ in nil }, in: memory)
            try device.finish()
        }
        guard withSteps else {
            (step, stepAlone) = (nil, nil)
            return
        }
        func steps(_ exchange: any GradientExchange) throws -> Timing {
            let state = ModelState(model, memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let trainer = try Trainer(configuration, state: state, data: ImageSet(configuration.randomImages()), exchange: exchange)
            try ranks.together {
                try trainer.prepareAllParts()
            }
            for _ in 0..<3 { try trainer.advance() }
            return try slowest(repetitions) {
                try trainer.advance()
                try device.finish()
            }
        }
        stepAlone = try steps(WithoutExchange(ranks))
        step = try steps(RankExchange(ranks, wire: wire, overlaps: overlaps, shardLimit: limit))
    }

    /// Processes that take their parts of a step and keep what they have made.
    private final class WithoutExchange: GradientExchange {
        let rank: Int
        let processes: Int

        init(_ ranks: any RankGroup) { (rank, processes) = (ranks.rank, ranks.count) }

        func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes {
            if let failure { throw failure }
            return wishes
        }
        let overlaps = false
        func buckets(_ storages: [Storage]) -> [ExchangeBucket] { [] }
        func sum(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) {}
    }
}
