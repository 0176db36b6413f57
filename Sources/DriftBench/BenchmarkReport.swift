import DriftGPU
import Foundation

/// What a run of `driftgpu bench` measured, as it is kept in a file and compared with another.
public struct BenchmarkReport: Codable, Sendable {
    public var device: String
    public var driver: String
    /// PCI address and UUID; nil where the driver says neither.
    public var identity: String?
    public var precision: String
    public var peaks: Peaks?
    public var kernels: [KernelBenchmark] = []
    public var step: [StepBenchmark] = []
    public var sample: [SampleBenchmark] = []
    /// Between processes; a report may lack it.
    public var exchange: [ExchangeBenchmark]?
    /// What a driver does that nobody says; a report may lack it.
    public var probes: ProbeReport?
    /// What its compiler made of the programs; a report may lack it.
    public var programs: [CompilerReport]?

    public init(_ device: Device) {
        self.device = device.about.name
        driver = device.about.driver
        identity = device.about.identity.text
        precision = device.precision.rawValue
    }

    /// Reads a report. Throws a one-line error that names the file.
    public init(file: String) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw BenchmarkError("\(file): cannot be read; name a file that driftgpu bench --json wrote")
        }
        do {
            self = try JSONDecoder().decode(BenchmarkReport.self, from: data)
        } catch {
            throw BenchmarkError("\(file): no report of driftgpu bench; name a file that driftgpu bench --json wrote")
        }
    }

    /// Indented JSON with sorted keys.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// A timing that stands in two reports.
    public struct Comparison: Sendable {
        public let name: String
        public let before: Timing
        public let now: Timing
        /// Time now over time before.
        public var ratio: Double { now.median / before.median }
        /// Slower by more than a tenth, and by more than both runs scatter.
        public var isRegression: Bool { ratio > 1.1 && now.lowerQuartile > before.upperQuartile }
        public var isGain: Bool { ratio < 1 / 1.1 && now.upperQuartile < before.lowerQuartile }
    }

    /// The timings that this report and `before` both have, in this report's order.
    public func compared(with before: BenchmarkReport) -> [Comparison] {
        let known = Dictionary(before.timings, uniquingKeysWith: { first, _ in first })
        return timings.compactMap { name, now in known[name].map { Comparison(name: name, before: $0, now: now) } }
    }

    private var timings: [(String, Timing)] {
        var list: [(String, Timing)] = []
        for size in kernels { list += size.cases.map { ("\(size.size) \($0.name)", $0.timing) } }
        list += step.map { ("\($0.size) step, \($0.encodeOnce ? "labels once" : "every image"), batch \($0.batch)", $0.timing) }
        list += sample.map { ("\($0.size) sample, \($0.kind.name), \($0.labels) x \($0.perLabel)", $0.timing) }
        return list
    }
}

/// A file that is no report: one line that names it.
public struct BenchmarkError: Error, CustomStringConvertible, Sendable {
    public let description: String
    init(_ description: String) { self.description = description }
}
