import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats
import DriftGPU
import DriftMPI
import Foundation

extension Bench {
    struct Exchange: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The exchange of gradients between processes, for mpirun, srun or --ranks: its time, and how much of it a step hides.",
            discussion: "GB/s is what each process sends, and as much what it receives. hidden is the part of the exchange that does not make a step longer.")

        @Option(help: ArgumentHelp("Models, separated by commas: \(BenchmarkSize.names).", valueName: "size,...")) var size: String = "digits"
        @Option(help: ArgumentHelp("Values of a message to one process, separated by commas. Default: what training takes.", valueName: "n,...")) var bucket: String?
        @Option(help: ArgumentHelp("What gradients are sent as, separated by commas: fp32, bf16.", valueName: "wire,...")) var wires: String = "fp32,bf16"
        @Flag(inversion: .prefixedNo, help: "Send buckets while the backward pass still runs. Default: yes, but for CPUs.") var overlap: Bool?
        @Flag(help: "The exchange alone, without training steps.") var alone = false
        @Option(help: ArgumentHelp("Repetitions, fewer once 20 s have passed.", valueName: "n")) var repetitions: Int = 15
        @Option(help: ArgumentHelp("Keep what was measured in this file.", valueName: "file")) var json: String?
        @OptionGroup var deviceOptions: DeviceOptions
        @OptionGroup var rankOptions: RankOptions

        func validate() throws {
            if repetitions < 1 || repetitions > 10_000 { throw ValidationError("--repetitions \(repetitions): take 1 to 10000") }
            _ = try (sizes(), buckets(), chosenWires())
        }

        private func sizes() throws -> [BenchmarkSize] { try Bench.list(size, "--size") }
        private func chosenWires() throws -> [Wire] { try Bench.list(wires, "--wires") }
        private func buckets() throws -> [Int?] {
            guard let bucket else { return [nil] }
            return try bucket.split(separator: ",").map { text in
                guard let count = Int(text), (1...(1 << 28)).contains(count) else {
                    throw ValidationError("--bucket \(text): take 1 to \(1 << 28)")
                }
                return count
            }
        }

        func run() throws {
            try reporting {
                let ranks = try rankOptions.start(folder: nil)
                guard ranks.count > 1 else {
                    throw ValidationError("bench exchange: one process has nobody to exchange with; start it with mpirun -np N, srun or --ranks N")
                }
                let device = try ranks.together { try deviceOptions.open(taking: rankOptions.device(deviceOptions.device, ranks)) }
                let places = try RankDevice.places(ranks, device.about)
                func line(_ text: String) { if ranks.isFirst { Output.line(text) } }
                line("\(ranks.count) processes: \(RankDevice.summary(places))")
                line("exchange ms  spread      MB    GB/s     step ms  without ms  hidden  case")
                var report = BenchmarkReport(device)
                report.exchange = []
                for size in try sizes() {
                    for wire in try chosenWires() {
                        for limit in try buckets() {
                            let made = try ExchangeBenchmark(
                                size.configuration, ranks: ranks, wire: wire, overlaps: overlap ?? (device.about.kind != .cpu), shardLimit: limit,
                                withSteps: !alone,
                                repetitions: repetitions, device: device)
                            report.exchange?.append(made)
                            line(Self.line(made))
                        }
                    }
                }
                if let json, ranks.isFirst { try AtomicFile.write([UInt8](report.json()), to: json) }
            }
        }

        private static func line(_ made: ExchangeBenchmark) -> String {
            func milliseconds(_ timing: Timing?) -> String { timing.map { String(format: "%10.2f", $0.median * 1e3) } ?? "         -" }
            let hidden = made.hidden.map { String(format: "%4.0f %%", 100 * $0) } ?? "     -"
            return String(
                format: "%11.2f  %4.0f %%  %6.1f  %6.2f  ", made.exchange.median * 1e3, 100 * made.exchange.spread,
                Double(made.bytes) / 1e6, made.bandwidth / 1e9) + milliseconds(made.step) + "  " + milliseconds(made.stepAlone)
                + "  \(hidden)  \(made.size), \(made.wire), messages of \(made.shardLimit)"
        }
    }
}
