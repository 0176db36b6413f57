import DriftAR
import DriftGPU

extension BenchmarkSize {
    /// What this size is run with: the batch of the benchmarks, and that of the preset of the same size.
    var configurations: [Configuration] {
        let preset = Configuration.presets["imagenet-\(rawValue)"]
        return [configuration] + (preset.map { [$0] } ?? [])
    }

    /// The programs that the given uses of models of these sizes take on any of the devices. Throws what a schedule throws.
    public static func programs(
        _ sizes: [BenchmarkSize], uses: [ModelUse], devices: [PlannedDevice]
    ) throws -> [KernelProgram] {
        var programs: [KernelProgram] = []
        func add(_ graphs: [Graph]) throws {
            for device in devices { programs = KernelProgram.union(programs + (try device.programs(graphs))) }
        }
        for configuration in sizes.flatMap(\.configurations) {
            for use in uses where use != .autoencoder { try add(configuration.graphs(of: use)) }
        }
        // One for all sizes.
        if uses.contains(.autoencoder) { try add(Configuration().graphs(of: .autoencoder)) }
        return programs
    }
}
