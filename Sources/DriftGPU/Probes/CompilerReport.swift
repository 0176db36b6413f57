import COpenCL

/// A program as a device's compiler makes it: how long that takes, and what its kernels need there.
public struct CompilerReport: Codable, Sendable {
    /// The .cl file's name, without ending.
    public let family: String
    /// -D values beyond those of the device, as a compiler takes them.
    public let definitions: [String]
    /// Of clBuildProgram, and of making the kernels, where a driver may put off its work to.
    public let seconds: Double
    /// What the driver says about the kernels that were asked for or that it names; on NVIDIA registers and spills.
    public let kernels: [KernelResources]
    /// What the driver says where that is nothing about kernels, and why it does not build; its beginning.
    public let remark: String?
    public let isBuilt: Bool

    /// Family and -D values.
    public var name: String { ([family] + definitions).joined(separator: " ") }

    /// Builds `program` on `device` by itself, whatever the device has built before; a driver's own cache may still answer. Throws
    /// where there is no such family. `keep` is given what the driver made of it, under a name for a file.
    public init(_ program: KernelProgram, on device: Device, keep: ((_ name: String, _ binary: [UInt8]) throws -> Void)? = nil) throws {
        (family, definitions) = (program.family, program.definitions)
        let source = try device.sources.expanded(program.family + ".cl")
        let verbose = device.about.extensions.contains("cl_nv_compiler_options") ? " -cl-nv-verbose" : ""
        let clock = ContinuousClock()
        let start = clock.now
        let names = program.kernels.map(\.name)
        var built: ProbeProgram?
        var complaint: String?
        do {
            let options = device.buildOptions(program.defines) + verbose
            let made = try ProbeProgram(family, source: source, options: options, on: device)
            built = made
            for kernel in names { clReleaseKernel(try made.kernel(kernel)) }
        } catch {
            complaint = String("\(error)".prefix(2000))
        }
        seconds = (clock.now - start) / .seconds(1)
        isBuilt = complaint == nil
        let log = built?.log ?? ""
        kernels = KernelResources.all(in: log)
        remark = complaint ?? (kernels.isEmpty && !log.isEmpty ? String(log.prefix(500)) : nil)
        guard let built, isBuilt, let keep else { return }
        // -D values without what no name of a file should have.
        let values = definitions.map { $0.dropFirst(2).filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") } }
        try keep(([family] + values).joined(separator: "-"), built.binary())
    }
}
