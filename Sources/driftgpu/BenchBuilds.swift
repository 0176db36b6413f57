import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats
import DriftGPU
import Foundation

extension Bench {
    struct Builds: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Builds every program that models take on a device: seconds, and registers and spills where the driver says.",
            discussion: "A program that does not build is part of the result; the exit code is 1 then. The driver's own cache may answer: choose another folder for it where that matters (CUDA_CACHE_PATH, POCL_CACHE_DIR).")
        @Option(help: ArgumentHelp("What the models are used for, separated by commas: training, sampling, judging, autoencoder.", valueName: "use,..."))
        var use: String = "training,sampling"
        @Option(help: "Only programs whose family and -D values contain this.") var filter: String = ""
        @Option(help: ArgumentHelp("Write what the driver made of each program to this folder: NVIDIA's PTX.", valueName: "folder"))
        var keep: String?
        @OptionGroup var common: Common

        func validate() throws { _ = try uses() }

        private func uses() throws -> [ModelUse] { try Bench.list(use, "--use") }

        func run() throws {
            try common.report { device, recording in
                if let keep, (try? FileManager.default.createDirectory(atPath: keep, withIntermediateDirectories: true)) == nil {
                    throw ConfigurationError("--keep \(keep): cannot be made; name another folder")
                }
                let programs = try BenchmarkSize.programs(common.sizes(), uses: uses(), devices: [PlannedDevice(device)])
                    .filter { filter.isEmpty || ([$0.family] + $0.definitions).joined(separator: " ").contains(filter) }
                try recording.add { $0.programs = [] }
                Output.line("seconds  registers  spilled bytes  shared bytes  program")
                var refused = 0
                for program in programs {
                    let build = try CompilerReport(
                        program, on: device, keep: keep.map { folder in { try AtomicFile.write($1, to: "\(folder)/\($0)", synced: false) } })
                    try recording.add { $0.programs?.append(build) }
                    Output.line(Self.line(build))
                    if !build.isBuilt { refused += 1 }
                }
                let seconds = recording.report.programs?.reduce(0) { $0 + $1.seconds } ?? 0
                Output.line(String(format: "%d programs in %.1f s", programs.count, seconds))
                guard refused == 0 else {
                    Output.error("\(refused) of \(programs.count) programs do not build on \(device.about.name); their lines say why")
                    throw ExitCode.failure
                }
            }
        }

        private static func line(_ build: CompilerReport) -> String {
            func most(_ value: (KernelResources) -> Int?) -> String {
                build.kernels.compactMap(value).max().map { "\($0)" } ?? "-"
            }
            func column(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
            let columns = [
                column(String(format: "%.2f", build.seconds), 7), column(most(\.registers), 9), column(most(\.spillStores), 13),
                column(most(\.shared), 12),
            ]
            let words = build.isBuilt ? "" : "  REFUSED: " + (build.remark ?? "").split(whereSeparator: \.isNewline).joined(separator: " ")
            return (columns + [build.name]).joined(separator: "  ") + words
        }
    }
}
