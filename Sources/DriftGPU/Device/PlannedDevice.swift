/// What schedules ask of a device, for one that need not be there.
public struct PlannedDevice: Sendable {
    public let traits: DeviceTraits
    public let gemm: any GEMMProvider
    /// What the device builds when it is opened.
    let opening: [KernelProgram]

    /// - Parameters:
    ///   - gemm: `native` or `clblast`; nil takes CLBlast in the GPU shape and our own kernels in the CPU shape.
    ///   - precision: other than fp32 takes `cores`.
    ///
    /// Throws a `DeviceError` for another `gemm`, and for a precision that needs tensor cores in the CPU shape.
    public init(
        _ traits: DeviceTraits, gemm: String? = nil, precision: Precision = .fp32, cores: TensorCores = .instructions
    ) throws {
        self.traits = traits
        let provider = try GEMMChoice.provider(gemm, otherwise: traits.isGPUShape ? "clblast" : "native")
        guard precision != .fp32 else {
            self.gemm = provider
            opening = []
            return
        }
        guard traits.isGPUShape else {
            throw DeviceError("precision \(precision.rawValue): the CPU shape has no tensor cores; use fp32")
        }
        self.gemm = TensorCoreGEMM(precision: precision, cores: cores, fallback: provider)
        opening = [KernelProgram(TensorCoreCheck.launch(cores.defines(precision)))]
    }

    /// What an open device is, whose opening is over.
    public init(_ device: Device) { (traits, gemm, opening) = (device.traits, device.gemm, []) }

    /// `graph` scheduled for it. Throws what `Schedule` throws.
    public func schedule(_ graph: Graph, options: Schedule.Options = Schedule.Options()) throws -> Schedule {
        try Schedule(graph, traits: traits, gemm: gemm, options: options)
    }

    /// The programs that opening the device and running the graphs take. Throws what `Schedule` throws.
    public func programs(_ graphs: [Graph]) throws -> [KernelProgram] {
        KernelProgram.union(try opening + graphs.flatMap { try schedule($0).programs })
    }
}

extension DeviceTraits {
    /// A large GPU: the compute units of an H100, and the local memory that OpenCL gives on NVIDIA's.
    public static let largeGPU = DeviceTraits(
        teamSize: 64, lanes: 4, computeUnits: 132, localMemory: 48 << 10, maxWorkGroupSize: 1024)

    /// What every program is built with on such a device, before its own -D values.
    public var definitions: [String] {
        ["-DTEAM_SIZE=\(teamSize)", "-DLANES=\(lanes)"] + (isGPUShape ? ["-DTEAM_GPU=1"] : [])
    }
}

/// Who multiplies matrices, by name.
enum GEMMChoice {
    /// The provider `name`, or the usual one where that is nil. Throws a `DeviceError` for a name that is neither.
    static func provider(_ name: String?, otherwise usual: String) throws -> any GEMMProvider {
        switch name ?? usual {
        case "native": NativeGEMM()
        case "clblast": CLBlastGEMM()
        case let other: throw DeviceError("--gemm \(other): unknown; use native or clblast")
        }
    }
}
