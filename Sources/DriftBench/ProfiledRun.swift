import DriftAR
import DriftGPU

/// What a run on a profiling device spent where.
struct ProfiledRun {
    let launches: Int
    /// Seconds in kernels, by the device's clock.
    let inKernels: Double
    /// Part of `inKernels` that is the head's: the rest is the stage's and the loop's.
    let headShare: Double
    /// Part of the run's time that is not in kernels: launching, and waiting for the host.
    let outsideKernels: Double

    /// `body` runs what `memory` is used for, and gives the seconds that it took.
    init(_ memory: DeviceMemory, _ body: () throws -> Double) throws {
        let profiler = Profiler()
        memory.profiler = profiler
        defer { memory.profiler = nil }
        let wall = try body()
        let samples = try profiler.collect()
        func milliseconds(_ samples: [Profiler.Sample]) -> Double { samples.reduce(0) { $0 + $1.milliseconds } }
        let all = milliseconds(samples)
        launches = samples.count
        inKernels = all / 1000
        headShare = all > 0 ? milliseconds(samples.filter { $0.part == Graph.head }) / all : 0
        outsideKernels = max(0, 1 - inKernels / wall)
    }
}
