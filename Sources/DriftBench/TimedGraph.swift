import DriftGPU

/// One small graph, bound to a device and timed as a whole.
final class TimedGraph {
    private let executor: Executor
    private let device: Device

    init(_ device: Device, _ build: (Graph) throws -> Void) throws {
        self.device = device
        let graph = Graph()
        try build(graph)
        executor = try DeviceMemory(device).executor(graph)
        // The first runs compile, and touch memory for the first time.
        for _ in 0..<2 { try executor.run() }
        try device.finish()
    }

    /// What its launches do.
    var traffic: Traffic { executor.schedule.traffic }

    func run() throws { try executor.run() }

    /// Wall clock from handing over the work to the end of the queue.
    func time() throws -> Double {
        try seconds {
            try executor.run()
            try device.finish()
        }
    }

    func measure(repetitions: Int) throws -> Timing { try Timing(repetitions: repetitions, time) }
}
