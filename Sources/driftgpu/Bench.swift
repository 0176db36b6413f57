import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats
import DriftGPU
import Foundation

extension BenchmarkSize: ExpressibleByArgument {}

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Time kernels, training steps and sampling against the device's own peaks.",
        discussion: "Every figure is wall clock around a finished queue. Peaks are measured first in the same run.",
        subcommands: [
            Kernels.self, Step.self, Sample.self, Exchange.self, Peak.self, Probes.self, Programs.self, Builds.self, Data.self,
            Summary.self,
        ])

    /// What all of them take.
    struct Common: ParsableArguments {
        @Option(help: ArgumentHelp("Models to time, separated by commas: \(BenchmarkSize.names).", valueName: "size,..."))
        var size: String = "digits"
        @Option(help: ArgumentHelp("Repetitions of each measurement; of steps and samples fewer, but 3 at least, once 20 s have passed.", valueName: "n")) var repetitions: Int = 15
        @Option(help: ArgumentHelp("Keep what was measured in this file.", valueName: "file")) var json: String?
        @Option(help: ArgumentHelp("Compare with a file that --json wrote.", valueName: "file")) var compare: String?
        @OptionGroup var deviceOptions: DeviceOptions

        func validate() throws {
            if repetitions < 1 || repetitions > 10_000 { throw ValidationError("--repetitions \(repetitions): take 1 to 10000") }
            _ = try sizes()
        }

        func sizes() throws -> [BenchmarkSize] { try Bench.list(size, "--size") }

        /// Runs `body` on an open device, keeps what it records as it goes, and compares it.
        func report(_ body: (Device, Recording) throws -> Void) throws {
            try reporting {
                let before = try compare.map { try BenchmarkReport(file: $0) }
                let device = try deviceOptions.open()
                let recording = try Recording(BenchmarkReport(device), file: json)
                Output.line("\(recording.report.device), driver \(recording.report.driver), GEMM \(device.gemm.name)")
                try body(device, recording)
                try recording.finish()
                guard let before else { return }
                Output.line("against \(compare ?? ""): time now over time then")
                for line in recording.report.compared(with: before) {
                    let mark = line.isRegression ? "  SLOWER" : line.isGain ? "  faster" : ""
                    Output.line(String(format: "%8.2f  ", line.ratio) + line.name + mark)
                }
            }
        }

        static func measurePeaks(_ device: Device, _ recording: Recording) throws -> Peaks {
            let peaks = try Peaks(device)
            try recording.add { $0.peaks = peaks }
            Output.line(
                String(
                    format: "peaks: copy %.1f GB/s, multiply-add %.1f GFLOP/s, GEMM %.1f GFLOP/s, launch %.1f us",
                    peaks.copyBandwidth / 1e9, peaks.multiplyAdd / 1e9, peaks.gemm / 1e9, peaks.launch * 1e6))
            return peaks
        }
    }

    /// A report that is kept in a file as it grows: what a run that is stopped has measured stays.
    final class Recording {
        private(set) var report: BenchmarkReport
        private let file: String?

        /// Throws where the file cannot be written: now, and not after the measurements.
        init(_ report: BenchmarkReport, file: String?) throws {
            (self.report, self.file) = (report, file)
            try keep(synced: false)
        }

        func add(_ change: (inout BenchmarkReport) -> Void) throws {
            change(&report)
            try keep(synced: false)
        }

        func finish() throws { try keep(synced: true) }

        private func keep(synced: Bool) throws {
            if let file { try AtomicFile.write([UInt8](report.json()), to: file, synced: synced) }
        }
    }

    struct Kernels: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every operation of a training step, forward and backward, or of the autoencoder, at the model's shapes.")
        @Option(help: "Only cases whose name contains this.") var filter: String = ""
        @Flag(help: "The step in which every image is encoded, instead of each label once.") var everyImage = false
        @Flag(help: "The autoencoder, kl16 with random weights, on an image of 256x256 pixels, instead of a training step.")
        var autoencoder = false
        @Flag(help: "Gathers and slices of 4096 rows of 256 with their gradients, and noise, instead of a training step.")
        var rows = false
        @OptionGroup var batchOptions: BatchOptions
        @OptionGroup var common: Common

        func validate() throws {
            if autoencoder && rows { throw ValidationError("--autoencoder and --rows: take one of them") }
        }

        func run() throws {
            try common.report { device, recording in
                let peaks = try Common.measurePeaks(device, recording)
                /// Times what is called `name`, and keeps every case as soon as it is known.
                func time(_ name: String, _ benchmark: (_ progress: (KernelBenchmark.Case) throws -> Void) throws -> KernelBenchmark) throws {
                    Self.head(name)
                    try recording.add { $0.kernels.append(KernelBenchmark(size: name)) }
                    let last = recording.report.kernels.count - 1
                    _ = try benchmark { entry in
                        Output.line(Self.line(entry))
                        try recording.add { $0.kernels[last].add(entry) }
                    }
                }
                let repetitions = common.repetitions
                if autoencoder {
                    return try time("autoencoder") {
                        try KernelBenchmark(
                            autoencoder: 256, device: device, peaks: peaks, repetitions: repetitions, filter: filter, progress: $0)
                    }
                }
                if rows {
                    return try time("rows") {
                        try KernelBenchmark(
                            rows: 4096, width: 256, device: device, peaks: peaks, repetitions: repetitions, filter: filter, progress: $0)
                    }
                }
                for size in try common.sizes() {
                    var configuration = size.configuration
                    configuration.stage.label?.encodeOnce = !everyImage
                    try batchOptions.apply(to: &configuration)
                    try time(size.rawValue) {
                        try KernelBenchmark(
                            configuration, device: device, peaks: peaks, repetitions: repetitions, filter: filter, progress: $0)
                    }
                }
            }
        }

        private static func head(_ name: String) {
            Output.line("\(name): shares are of a copy of as many bytes (flushed caches), and of as many multiply-adds (warm)")
            Output.line(" flushed us  spread      GB/s  share     warm us   GFLOP/s  share  limit         x  case")
        }

        private static func line(_ entry: KernelBenchmark.Case) -> String {
            let limit = entry.limit.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
            return String(
                format: "%11.1f  %4.0f %%  %8.1f  %3.0f %%  %10.1f  %8.1f  %3.0f %%  ", entry.timing.median * 1e6,
                100 * entry.timing.spread, entry.bandwidth / 1e9, 100 * entry.bandwidthShare, entry.warm.median * 1e6,
                entry.arithmetic / 1e9, 100 * entry.arithmeticShare) + limit
                + String(format: "%3d  ", entry.perStep) + entry.name
        }
    }

    struct Step: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Whole training steps.")
        @Option(help: ArgumentHelp("Encode each distinct label once (true) or every image (false); both when not given.", valueName: "bool"))
        var encodeOnce: Bool?
        @Flag(help: "Print the settings of the size as JSON and stop.") var printConfig = false
        @OptionGroup var batchOptions: BatchOptions
        @OptionGroup var common: Common

        func run() throws {
            if printConfig {
                try reporting {
                    for size in try common.sizes() {
                        var configuration = size.configuration
                        try batchOptions.apply(to: &configuration)
                        Output.line(String(decoding: try configuration.json().dropLast(), as: UTF8.self))
                    }
                }
                return
            }
            try common.report { _, recording in
                Output.line("  median ms  spread  images/s  GFLOP/s  in kernels  outside    head  launches  arena MB  case")
                for size in try common.sizes() {
                    for once in encodeOnce.map({ [$0] }) ?? (size.hasEncoder ? [true, false] : [true]) {
                        var configuration = size.configuration
                        configuration.stage.label?.encodeOnce = once
                        try batchOptions.apply(to: &configuration)
                        let step = try StepBenchmark(configuration, repetitions: common.repetitions) {
                            try common.deviceOptions.open(profiling: $0)
                        }
                        try recording.add { $0.step.append(step) }
                        Output.line(Self.line(step))
                    }
                }
            }
        }

        private static func line(_ step: StepBenchmark) -> String {
            String(
                format: "%11.2f  %4.0f %%  %8.0f  %7.0f  %7.2f ms  %5.1f %%  %4.0f %%  %8d  %8.1f  ", step.timing.median * 1e3,
                100 * step.timing.spread, step.imagesPerSecond, Double(step.flops) / step.timing.median / 1e9,
                step.inKernels * 1e3, 100 * step.outsideKernels, 100 * (step.headShare ?? 0), step.launches, Double(step.arenaBytes) / 1e6)
                + "\(step.size), \(step.encodeOnce ? "labels once" : "every image"), batch \(step.batch)"
        }
    }

    struct Sample: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drawing images: plain and guided, each label encoded once or every image, and with the speculative loop.")
        @Option(help: ArgumentHelp("Labels.", valueName: "n")) var labels: Int = 10
        @Option(help: ArgumentHelp("Images of each label.", valueName: "n")) var perLabel: Int = 16
        @Option(help: "Only cases whose name contains this.") var filter: String = ""
        @OptionGroup var common: Common

        func validate() throws {
            if labels < 1 || perLabel < 1 || labels > 100_000 || perLabel > 100_000 {
                throw ValidationError("--labels \(labels) --per-label \(perLabel): take 1 to 100000")
            }
        }

        func run() throws {
            try common.report { _, recording in
                Output.line("  median ms  spread  images/s  outside    head  launches  case")
                for size in try common.sizes() {
                    for kind in SampleBenchmark.Kind.all where size.hasEncoder || kind.encodeOnce && !kind.isSpeculative {
                        let name = "\(size.rawValue), \(kind.name)"
                        guard filter.isEmpty || name.contains(filter) else { continue }
                        let sample = try SampleBenchmark(
                            size.configuration, labels: labels, perLabel: perLabel, kind: kind,
                            repetitions: common.repetitions
                        ) { try common.deviceOptions.open(profiling: $0) }
                        try recording.add { $0.sample.append(sample) }
                        Output.line(
                            String(
                                format: "%11.2f  %4.0f %%  %8.*f  %5.1f %%  %4.0f %%  %8d  ", sample.timing.median * 1e3,
                                100 * sample.timing.spread, sample.imagesPerSecond < 10 ? 3 : 0, sample.imagesPerSecond, 100 * (sample.outsideKernels ?? 0),
                                100 * (sample.headShare ?? 0), sample.launches ?? 0)
                                + name)
                    }
                }
            }
        }
    }

    struct Peak: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "devices", abstract: "The device's peaks: copy bandwidth, multiply-add, GEMM, launch.")
        @OptionGroup var common: Common

        func run() throws { try common.report { _ = try Common.measurePeaks($0, $1) } }
    }
}
