import COpenCL

/// What a launch costs, by how many are handed over before the host waits.
public struct LaunchProbe: Codable, Sendable {
    /// Seconds of each of `depth` launches of a kernel that does next to nothing; the fastest of several rounds.
    public struct Depth: Codable, Sendable {
        public let depth: Int
        /// In the calls that hand them over. Where it comes near `total`, the driver makes the host wait.
        public let issue: Double
        /// Until all are known to be done.
        public let total: Double
    }

    public let depths: [Depth]

    /// Seconds of a launch that is waited for, and of one among many.
    public var roundTrip: Double { depths.first?.total ?? 0 }
    public var queued: Double { depths.map(\.total).min() ?? 0 }

    /// Times launches. Throws what the driver says, and where the launches did not run in order, each once.
    public init(_ device: Device, depths: [Int] = [1, 4, 16, 64, 256, 1024, 4096], rounds: Int = 5) throws {
        let program = try ProbeProgram("the probe of launches", source: Self.source, on: device)
        let kernel = try program.kernel("count_up")
        defer { clReleaseKernel(kernel) }
        let counter = try ProbeMemory(device, byteCount: 4)
        try OpenCLError.check(device.commands.fill(counter.handle, with: 0, byteCount: 4), "filling the counter")
        var launched: UInt32 = 0
        try device.launchProbe(kernel, [.memory(counter), .uint(0)], items: 64, group: 64)
        launched += 1
        try device.finish()
        self.depths = try depths.map { depth in
            var best = (issue: Double.infinity, total: Double.infinity)
            for _ in 0..<rounds {
                let clock = ContinuousClock()
                let start = clock.now
                for _ in 0..<depth {
                    // Counts what ran before it: in order, each launch finds its own number.
                    try OpenCLError.check(ProbeArgument.uint(launched).set(kernel, 1), "argument 1 of a probe")
                    try OpenCLError.check(
                        clEnqueueNDRangeKernel(device.queue, kernel, 1, nil, [64], [64], 0, nil, nil), "launching a probe")
                    launched += 1
                }
                try device.commands.flush()
                let issued = clock.now - start
                try device.finish()
                best = (min(best.issue, issued / .seconds(1)), min(best.total, (clock.now - start) / .seconds(1)))
            }
            return Depth(depth: depth, issue: best.issue / Double(depth), total: best.total / Double(depth))
        }
        let count = try counter.word(0)
        guard count == launched else {
            throw DeviceError("of \(launched) launches \(count) ran in their order on \(device.about.name)")
        }
    }

    private static let source =
        "__kernel void count_up(__global uint *x, uint number) { if (get_global_id(0) == 0 && x[0] == number) x[0] = number + 1; }"
}
