import ArgumentParser
import DriftBench
import DriftGPU

extension Bench {
    struct Probes: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What a driver does that nobody says: launches, transfers, instructions, large buffers.",
            discussion: "The probe fill makes one fill of more than 2^31 bytes, which some drivers never end: give it a limit of time. A probe that fails is part of the result; the exit code is 1 then.")
        @ArgumentParser.Argument(help: ArgumentHelp("Which of them: launch, transfer, assembly, binary, allocation, fill. Default: all.", valueName: "probe"))
        var names: [String] = []
        @Option(help: ArgumentHelp("Size of transfers and of the fill. Default: 256 MiB, and 2.2 GB.", valueName: "n")) var bytes: Int?
        @OptionGroup var common: Common

        func validate() throws {
            _ = try kinds()
            if let bytes, bytes < 64 || bytes > 1 << 40 { throw ValidationError("--bytes \(bytes): take 64 to 2^40") }
        }

        private func kinds() throws -> [ProbeReport.Kind] {
            let kinds = try names.map { name in
                guard let kind = ProbeReport.Kind(rawValue: name) else {
                    let known = ProbeReport.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("\(name): no such probe; there is \(known)")
                }
                return kind
            }
            return kinds.isEmpty ? ProbeReport.Kind.allCases : kinds
        }

        func run() throws {
            try common.report { device, recording in
                var probes = ProbeReport()
                for kind in try kinds() {
                    probes.make(kind, on: device, bytes: bytes.map { $0 & ~3 }) { Output.line($0) }
                    try recording.add { $0.probes = probes }
                }
                probes.lines.forEach { Output.line($0) }
                if !probes.failures.isEmpty { throw ExitCode.failure }
            }
        }
    }
}
