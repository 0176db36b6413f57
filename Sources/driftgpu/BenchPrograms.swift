import ArgumentParser
import DriftAR
import DriftBench
import DriftFormats
import DriftGPU
import Foundation

extension Bench {
    struct Programs: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The kernels that models take, with their -D values and work-groups, for a device that need not be there.",
            discussion: """
                A line for each kernel and work-group: family, kernel, work-items, bytes of local memory that come as arguments, \
                and the -D values of the program. What every program is built with comes first, as a line of its own.
                """)

        /// Rows and columns of the kernels.
        enum Shape: String, ExpressibleByArgument, CaseIterable { case gpu, cpu }

        @Option(help: ArgumentHelp("Models, separated by commas: \(BenchmarkSize.names).", valueName: "size,..."))
        var size: String = BenchmarkSize.allCases.map(\.rawValue).joined(separator: ",")
        @Option(help: ArgumentHelp("What they are used for, separated by commas: training, sampling, judging, autoencoder.", valueName: "use,..."))
        var use: String = ModelUse.allCases.map(\.rawValue).joined(separator: ",")
        @Option(help: ArgumentHelp("Precisions, separated by commas: fp32, tf32, bf16.", valueName: "precision,..."))
        var precision: String = "fp32"
        @Option(help: ArgumentHelp("Matrix products, separated by commas: clblast, native. Default: clblast for gpu, native for cpu.", valueName: "gemm,..."))
        var gemm: String?
        @Option(help: "Work-groups with local memory, or single work-items with wide vectors.") var shape = Shape.gpu
        @Option(help: ArgumentHelp("Floats of a vector in the shape cpu: 4, 8 or 16.", valueName: "n")) var lanes: Int = 8
        @Option(help: ArgumentHelp("Compute units. Default: 132 for gpu, 2 for cpu.", valueName: "n")) var computeUnits: Int?
        @Option(help: ArgumentHelp("Bytes of local memory of a work-group.", valueName: "bytes")) var localMemory: Int = 48 << 10
        @Flag(help: "Tensor cores in portable code, as DRIFTGPU_TENSOR=emulate has them.") var emulated = false
        @Option(help: ArgumentHelp("Write the programs to this file, too.", valueName: "file")) var json: String?

        func validate() throws {
            _ = try (sizes(), uses(), precisions())
            if ![4, 8, 16].contains(lanes) { throw ValidationError("--lanes \(lanes): take 4, 8 or 16") }
            if let computeUnits, !(1...100_000).contains(computeUnits) {
                throw ValidationError("--compute-units \(computeUnits): take 1 to 100000")
            }
            if !(0...(1 << 30)).contains(localMemory) {
                throw ValidationError("--local-memory \(localMemory): take 0 to \(1 << 30)")
            }
        }

        func run() throws {
            try reporting {
                let devices = try devices()
                let programs = try BenchmarkSize.programs(sizes(), uses: uses(), devices: devices)
                if let json {
                    let encoder = JSONEncoder()
                    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                    try AtomicFile.write([UInt8](encoder.encode(programs)) + Array("\n".utf8), to: json)
                }
                if let traits = devices.first?.traits {
                    Output.line("# family kernel items local-bytes -D values; with all: " + traits.definitions.joined(separator: " "))
                }
                for program in programs {
                    for kernel in program.kernels {
                        for group in kernel.groups {
                            Output.line(
                                ([program.family, kernel.name, "\(group.items)", "\(group.localBytes)"] + program.definitions)
                                    .joined(separator: " "))
                        }
                    }
                }
            }
        }

        private func devices() throws -> [PlannedDevice] {
            var traits = DeviceTraits.largeGPU
            traits.localMemory = localMemory
            if shape == .cpu { (traits.teamSize, traits.lanes, traits.computeUnits) = (1, lanes, 2) }
            if let computeUnits { traits.computeUnits = computeUnits }
            let providers: [String?] = gemm.map { $0.split(separator: ",").map(String.init) } ?? [nil]
            return try precisions().flatMap { precision in
                try providers.map {
                    try PlannedDevice(traits, gemm: $0, precision: precision, cores: emulated ? .emulation : .instructions)
                }
            }
        }

        private func sizes() throws -> [BenchmarkSize] { try Bench.list(size, "--size") }
        private func uses() throws -> [ModelUse] { try Bench.list(use, "--use") }
        private func precisions() throws -> [Precision] { try Bench.list(precision, "--precision") }
    }

    /// The values of a list with commas. Throws a line that names what is none of them.
    static func list<Value: RawRepresentable & CaseIterable>(_ text: String, _ option: String) throws -> [Value]
    where Value.RawValue == String {
        let values: [Value] = try text.split(separator: ",").map { name in
            guard let value = Value(rawValue: String(name)) else {
                let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("\(option) \(name): unknown; there is \(known)")
            }
            return value
        }
        guard !values.isEmpty else { throw ValidationError("\(option): name one at least") }
        return values
    }
}
