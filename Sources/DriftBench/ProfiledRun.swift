import DriftAR
import DriftGPU

/// What a run on a profiling device spent where.
struct ProfiledRun {
    let launches: Int
    /// Of all launches together.
    let traffic: Traffic
    /// Seconds in kernels, by the device's clock.
    let inKernels: Double
    /// Part of `inKernels` that is the head's, and part that is the stage's where an image is drawn: the rest is the loop's.
    let headShare: Double
    let stageShare: Double
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
        func share(_ part: String) -> Double { all > 0 ? milliseconds(samples.filter { $0.part == part }) / all : 0 }
        let all = milliseconds(samples)
        launches = samples.count
        traffic = samples.reduce(into: Traffic()) { sum, sample in
            sum.bytes += sample.traffic.bytes
            sum.flops += sample.traffic.flops
        }
        inKernels = all / 1000
        (headShare, stageShare) = (share(Graph.head), share(Graph.stage))
        outsideKernels = max(0, 1 - inKernels / wall)
    }
}
