import COpenCL
import Foundation

/// Times of launches, from OpenCL events.
public final class Profiler {
    /// One launch: device times in nanoseconds.
    public struct Sample: Sendable {
        public let name: String
        /// `Node.part`.
        public let part: String?
        /// What the launch does.
        public let traffic: Traffic
        public let step: Int
        public let start: UInt64
        public let end: UInt64

        public var milliseconds: Double { Double(end - start) / 1e6 }
    }

    /// Launches whose times have not been taken. Their events hold memory of the device.
    private(set) var pending: [(event: cl_event, name: String, part: String?, traffic: Traffic, step: Int)] = []
    private var samples: [Sample] = []
    private let pendingLimit: Int

    /// `pendingLimit`: launches after which the times of the older half are taken, which have most likely ended by then.
    public init(pendingLimit: Int = 4096) { self.pendingLimit = max(2, pendingLimit) }

    deinit { for entry in pending { clReleaseEvent(entry.event) } }

    /// Takes over the event of a launch.
    func record(_ event: cl_event, name: String, of node: Node, _ traffic: Traffic, step: Int) throws {
        pending.append((event, name, node.part, traffic, step))
        if pending.count >= pendingLimit { try take(pendingLimit / 2) }
    }

    /// All samples so far; waits for the launches that have not finished.
    public func collect() throws -> [Sample] {
        try take(pending.count)
        return samples
    }

    /// Takes the times of the first `count` pending launches, waiting for their end, and releases their events.
    private func take(_ count: Int) throws {
        let taken = pending.prefix(count)
        defer {
            for entry in taken { clReleaseEvent(entry.event) }
            pending.removeFirst(count)
        }
        for entry in taken {
            var event: cl_event? = entry.event
            try OpenCLError.check(clWaitForEvents(1, &event), "event of \(entry.name)")
            func time(_ key: Int32) throws -> UInt64 {
                var value: cl_ulong = 0
                try OpenCLError.check(
                    clGetEventProfilingInfo(entry.event, cl_profiling_info(key), 8, &value, nil), "times of \(entry.name)")
                return value
            }
            let start = try time(CL_PROFILING_COMMAND_START)
            // A driver's clock may go backwards.
            let end = max(start, try time(CL_PROFILING_COMMAND_END))
            samples.append(
                Sample(name: entry.name, part: entry.part, traffic: entry.traffic, step: entry.step, start: start, end: end))
        }
    }

    /// Milliseconds and launches per kernel, most expensive first.
    public func totals() throws -> [(name: String, launches: Int, milliseconds: Double)] {
        var sums: [String: (Int, Double)] = [:]
        for sample in try collect() {
            let known = sums[sample.name] ?? (0, 0)
            sums[sample.name] = (known.0 + 1, known.1 + sample.milliseconds)
        }
        return sums.map { ($0.key, $0.value.0, $0.value.1) }.sorted { ($0.2, $0.0) > ($1.2, $1.0) }
    }

    /// The samples as a Chrome trace (chrome://tracing, Perfetto): one complete event a launch, microseconds.
    public func chromeTrace() throws -> Data {
        let samples = try collect()
        let origin = samples.map(\.start).min() ?? 0
        let events = samples.map { sample in
            "{\"name\":\"\(sample.name)\",\"ph\":\"X\",\"pid\":0,\"tid\":0,\"ts\":\(Double(sample.start - origin) / 1000),\"dur\":\(Double(sample.end - sample.start) / 1000),\"args\":{\"step\":\(sample.step)}}"
        }
        return Data(("{\"traceEvents\":[\n" + events.joined(separator: ",\n") + "\n]}\n").utf8)
    }
}
