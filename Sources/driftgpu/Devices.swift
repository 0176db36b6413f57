import ArgumentParser
import DriftGPU
import DriftMPI
import Foundation

struct Devices: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List OpenCL platforms and devices, and what each can do; under mpirun, the device of each process.")

    @Flag(name: [.short, .long], help: "Log why a probe says no to standard error.") var verbose = false
    @OptionGroup var rankOptions: RankOptions

    func run() throws {
        try reporting {
            DeviceOptions.log(verbose: verbose)
            let ranks = try rankOptions.start(folder: nil)
            if let communicator = ranks as? Communicator {
                let device = try RankDevice.choose(nil, communicator, sharing: rankOptions.shareDevice)
                let places = try RankDevice.places(communicator, device)
                guard communicator.isFirst else { return }
                for (rank, place) in places.enumerated() { Output.line("rank \(rank)  \(place)") }
                Output.line("MPI: \(communicator.library)")
                return
            }
            let devices = try DeviceDescription.all()
            let chosen = try? DeviceDescription.choose(nil)
            for device in devices {
                let mark = device.index == chosen?.index ? "*" : " "
                Output.line("\(mark) \(device.index)  \(device.name)")
                let rows: [(String, String)] =
                    [
                        ("platform", "\(device.platform), driver \(device.driver), \(device.languageVersion)"),
                        ("kind", "\(device.kind.rawValue), \(device.computeUnits) compute units\(device.clockRate > 0 ? " at \(device.clockRate) MHz" : ""), vectors of \(device.vectorWidth) floats"),
                        ("memory", "\(device.globalMemory >> 20) MiB\(device.sharesHostMemory ? " of the host's" : ""), \(device.maxAllocation >> 20) MiB at once, \(device.localMemory >> 10) KiB local, work-groups up to \(device.maxWorkGroupSize)"),
                    ] + (device.identity.text.map { [("identity", $0)] } ?? []) + Self.probes(device)
                for (key, value) in rows {
                    Output.line("     " + key.padding(toLength: 9, withPad: " ", startingAt: 0) + value)
                }
            }
            Output.line("* is what driftgpu takes without --device")
        }
    }

    /// The precisions whose products passed their check.
    private static func tensorCores(_ device: Device) -> String {
        let found = Precision.allCases.compactMap { precision in
            device.tensorCores(for: precision).map { precision.rawValue + ($0 == .emulation ? " (emulated)" : "") }
        }
        return found.isEmpty ? "no tensor cores" : found.joined(separator: ", ")
    }

    /// What compiling small kernels shows.
    private static func probes(_ about: DeviceDescription) -> [(String, String)] {
        do {
            let device = try Device(about)
            let traits = device.traits
            let found = DeviceProbe.allCases.map { "\($0.rawValue) \($0.isSupported(by: device) ? "yes" : "no")" }
            return [
                ("teams", "\(traits.shapeText), GEMM \(device.gemm.name)"), ("probed", found.joined(separator: ", ")),
                ("tensor", tensorCores(device)),
            ]
        } catch {
            return [("unusable", "\(error)")]
        }
    }
}

extension DeviceTraits {
    /// The team shape in words.
    var shapeText: String {
        if isGPUShape { return "work-groups of \(teamSize)" }
        let isTooSmall = maxWorkGroupSize < Self.gpuWorkGroupSize
        return "one work-item of \(lanes) lanes"
            + (isTooSmall ? ", since larger groups would need \(Self.gpuWorkGroupSize) items" : "")
    }
}
