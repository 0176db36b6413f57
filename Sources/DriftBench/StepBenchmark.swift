import DriftAR
import DriftGPU

/// Training steps of a model as a whole.
public struct StepBenchmark: Codable, Sendable {
    public let size: String
    public let encodeOnce: Bool
    /// Images generated in a step.
    public let batch: Int
    public let launches: Int
    public let arenaBytes: Int
    /// Wall clock of a step, over runs of several steps without waiting between them.
    public let timing: Timing
    /// Seconds of a step that the device spent in kernels, by its own clock.
    public let inKernels: Double
    /// Floating-point operations of a step.
    public let flops: Int

    /// Part of a profiled step that is not in kernels: launching, and waiting for the host.
    public let outsideKernels: Double
    /// Part of the time in kernels that is the head's, its gradients included. Nil in reports made before it was measured.
    public let headShare: Double?

    public var imagesPerSecond: Double { Double(batch) / timing.median }
}

extension StepBenchmark {
    /// Times `repetitions` runs, fewer where they take long. `open` opens the device, with or without profiling: the times are taken without.
    public init(
        _ configuration: Configuration, repetitions: Int, open: (_ isProfiling: Bool) throws -> Device
    ) throws {
        func prepared(_ isProfiling: Bool) throws -> (Trainer, DeviceMemory) {
            let memory = DeviceMemory(try open(isProfiling))
            let state = ModelState(try configuration.makeGenerator(), memory: memory)
            try state.initialize(seed: 1)
            try FrozenEncoder(configuration)?.initialize(seed: 2, in: memory)
            let trainer = try Trainer(configuration, state: state, data: configuration.randomImages())
            try trainer.prepareAllParts()
            for _ in 0..<3 { try trainer.advance() }
            try memory.device.finish()
            return (trainer, memory)
        }
        func time(_ trainer: Trainer, _ memory: DeviceMemory, steps: Int) throws -> Double {
            try seconds {
                for _ in 0..<steps { try trainer.advance() }
                try memory.device.finish()
            } / Double(steps)
        }
        let schedules: [Schedule]
        let timing: Timing
        do {
            let (trainer, memory) = try prepared(false)
            schedules = try trainer.schedules()
            // Runs of about a tenth of a second, so that waiting for the end of one counts little.
            let steps = max(1, min(50, Int(0.1 / (try time(trainer, memory, steps: 1)))))
            timing = try Timing(repetitions: repetitions) { try time(trainer, memory, steps: steps) }
        }
        let (trainer, memory) = try prepared(true)
        let steps = 5
        let run = try ProfiledRun(memory) { try Double(steps) * time(trainer, memory, steps: steps) }
        self.init(
            size: configuration.preset, encodeOnce: configuration.stage.label?.encodeOnce ?? true, batch: configuration.batch,
            launches: schedules.reduce(0) { $0 + $1.launches }, arenaBytes: schedules.map(\.plan.arenaBytes).max() ?? 0, timing: timing, inKernels: run.inKernels / Double(steps),
            flops: schedules.reduce(0) { $0 + $1.traffic.flops }, outsideKernels: run.outsideKernels,
            headShare: run.headShare)
    }
}
