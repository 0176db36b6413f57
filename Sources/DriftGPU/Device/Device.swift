import COpenCL
import Foundation
import Logging
import Synchronization

/// An open device: context, one in-order queue, built programs. All of a device's work is issued from one thread at a time.
public final class Device {
    /// How an open device is shaped; the default comes from the device and from DRIFTGPU_TEAM (`cpu` or `gpu`) and
    /// DRIFTGPU_LANES (4, 8 or 16), which force another shape for tests. DRIFTGPU_TENSOR=emulate does without tensor cores.
    /// DRIFTGPU_BUILD=serial builds one program at a time, for drivers whose compilers do not bear several threads.
    /// DRIFTGPU_ALLOCATION says whether buffers larger than the device promises are asked for: `try` or `promised`.
    public struct Options: Sendable {
        public var team: String?
        public var lanes: Int?
        public var profiling = false
        /// `native` or `clblast`; nil takes CLBlast on GPUs and our own kernels on CPUs.
        public var gemm: String?
        /// Where `driftgpu tune` stores CLBlast's parameters; nil leaves CLBlast its own.
        public var tuning: String?
        /// What the inputs of matrix products and convolutions are rounded to; other than fp32 takes tensor cores.
        public var precision = Precision.fp32
        /// `emulate` calculates in portable code what tensor cores would; nil asks for the device's own.
        public var tensor: String?
        /// `try` leaves it to the driver whether a buffer is too large; `promised` refuses what the device does not promise. Nil
        /// tries on GPUs, whose drivers may promise a quarter of what they give.
        public var allocation: String?
        /// `serial` builds one program at a time; nil lets threads build several.
        public var build: String?
        /// A folder of .cl files to take instead of the embedded ones (DRIFTGPU_KERNELS).
        public var kernels: String?
        /// The folder of `ProgramCache`; nil keeps no programs.
        public var programs: String?
        /// A command, path and arguments, that runs `CompilerProcess.serve`; nil compiles kernels in this process alone.
        public var compilers: [String]?
        /// Is told how many of how many kernels are compiled, when that takes longer than a moment.
        public var compiling: (@Sendable (_ done: Int, _ count: Int) -> Void)?

        public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
            team = environment["DRIFTGPU_TEAM"].flatMap { $0.isEmpty ? nil : $0 }
            lanes = environment["DRIFTGPU_LANES"].flatMap { $0.isEmpty ? nil : Int($0) ?? 0 }
            tuning = Tuning.folder(environment: environment)
            tensor = environment["DRIFTGPU_TENSOR"].flatMap { $0.isEmpty ? nil : $0 }
            allocation = environment["DRIFTGPU_ALLOCATION"].flatMap { $0.isEmpty ? nil : $0 }
            build = environment["DRIFTGPU_BUILD"].flatMap { $0.isEmpty ? nil : $0 }
            kernels = environment["DRIFTGPU_KERNELS"]
            programs = ProgramCache.folder(environment: environment)
        }
    }

    public let about: DeviceDescription
    public let traits: DeviceTraits
    public private(set) var gemm: any GEMMProvider
    public let precision: Precision
    public let isProfiling: Bool
    let emulatesTensorCores: Bool
    let context: cl_context
    let commands: CommandQueue
    var queue: cl_command_queue { commands.handle }
    let sources: KernelSource
    let log = Logger(label: "driftgpu.device")
    private var programs: [String: cl_program] = [:]
    private let programCache: ProgramCache?
    /// Programs that were built from their text, and might be kept.
    private var unkept: [(program: cl_program, key: [UInt8], family: String, defines: [String: String])] = []
    /// Programs taken from the cache, and written to it.
    private(set) var (programsTaken, programsKept) = (0, 0)
    /// What has been compiled ahead, and what that takes; see `ProgramBuild`.
    var compiled: Set<KernelCompilation.Key> = []
    let compilers: [String]?
    let compiling: (@Sendable (_ done: Int, _ count: Int) -> Void)?
    let kernelFolder: String?
    /// Whether threads may build programs.
    let buildsSideBySide: Bool
    /// Whether kernels.cl as one program did not build.
    private var isWholeRefused = false
    /// Bytes of all live buffers.
    public internal(set) var allocatedBytes = 0
    /// Bytes of the largest buffer that is asked for; 0 where nobody knows. Everything that plans buffers goes by it.
    public internal(set) var allocationLimit: Int
    /// Host memory held by writes that the device has not passed yet.
    package var stagedBytes: Int { commands.stagedBytes }

    /// Opens `about`. Throws an `OpenCLError` or `DeviceError` naming the device.
    public init(_ about: DeviceDescription, options: Options = Options()) throws {
        self.about = about
        (compilers, compiling, kernelFolder) = (options.compilers, options.compiling, options.kernels)
        sources = try KernelSource(folder: options.kernels)
        traits = try DeviceTraits(about, team: options.team, lanes: options.lanes)
        programCache = ProgramCache(options.programs, for: about, traits)
        gemm = try GEMMChoice.provider(
            options.gemm, otherwise: about.kind == .gpu && traits.isGPUShape ? "clblast" : "native")
        if let tensor = options.tensor, tensor != "emulate" {
            throw DeviceError("DRIFTGPU_TENSOR=\(tensor): unknown; use emulate, or unset it")
        }
        switch options.allocation {
        case "try": allocationLimit = about.globalMemory
        case "promised": allocationLimit = about.maxAllocation
        case nil: allocationLimit = about.kind == .gpu ? about.globalMemory : about.maxAllocation
        case let other?: throw DeviceError("DRIFTGPU_ALLOCATION=\(other): unknown; use try or promised, or unset it")
        }
        if let build = options.build, build != "serial" {
            throw DeviceError("DRIFTGPU_BUILD=\(build): unknown; use serial, or unset it")
        }
        buildsSideBySide = options.build == nil
        precision = options.precision
        emulatesTensorCores = options.tensor != nil
        var status: cl_int = 0
        var id: cl_device_id? = about.id
        guard let context = clCreateContext(nil, 1, &id, nil, nil, &status) else {
            throw OpenCLError(code: status, subject: "context on \(about.name)")
        }
        do {
            commands = try CommandQueue(context, about, profiling: options.profiling)
        } catch {
            clReleaseContext(context)
            throw error
        }
        if gemm is CLBlastGEMM, let folder = options.tuning { Tuning.apply(from: folder, to: about, log: log) }
        isProfiling = options.profiling
        self.context = context
        if precision != .fp32 { gemm = try tensorGEMM() }
        log.debug("opened \(about.name): teams of \(traits.teamSize), \(traits.lanes) lanes, GEMM \(gemm.name) \(precision)")
    }

    /// The provider for products of less than single precision; what it does not take stays with the present one.
    private func tensorGEMM() throws -> any GEMMProvider {
        guard let cores = tensorCores(for: precision) else {
            let reason =
                emulatesTensorCores && !traits.isGPUShape
                ? "DRIFTGPU_TENSOR=emulate needs DRIFTGPU_TEAM=gpu too" : "no tensor cores for it were found"
            throw DeviceError("--precision \(precision.rawValue): \(reason) on \(about.name); use --precision fp32")
        }
        return TensorCoreGEMM(precision: precision, cores: cores, fallback: gemm)
    }

    deinit {
        commands.drain()
        for program in programs.values { clReleaseProgram(program) }
        clReleaseContext(context)
    }

    // MARK: Programs

    /// A kernel of its own argument state. A family is a program of its own for each set of -D values, built when first asked
    /// for, so that one which a compiler refuses stops only those who need it. On CPUs the families without -D values are
    /// built together: their drivers compile a kernel when it first runs, so a program costs little more than reading the
    /// driver's headers. Where the whole does not build there, the families are built one by one, too.
    func makeKernel(_ name: String, family: String, defines: [String: String]) throws -> cl_kernel {
        let program = try program(family: family, defines: defines)
        var status: cl_int = 0
        guard let kernel = clCreateKernel(program, name, &status) else {
            throw OpenCLError(code: status, subject: "kernel \(name) of \(family).cl")
        }
        return kernel
    }

    private func program(family: String, defines: [String: String]) throws -> cl_program {
        if defines.isEmpty, about.kind == .cpu, !isWholeRefused {
            do {
                return try program(file: "kernels.cl", defines: defines)
            } catch {
                isWholeRefused = true
                log.debug("building the families one by one: \(error)")
            }
        }
        return try program(file: family + ".cl", defines: defines)
    }

    private func program(file: String, defines: [String: String]) throws -> cl_program {
        let options = buildOptions(defines)
        let name = file + options
        if let program = programs[name] { return program }
        let source = try sources.expanded(file)
        let clock = ContinuousClock()
        let start = clock.now
        // All families in one have kernels that nobody launches.
        let key = defines.isEmpty ? nil : programCache?.key(source, options: options)
        if let key, let program = programCache?.program(key, context, about.id) {
            programsTaken += 1
            log.debug("took \(file) from \(programCache?.folder ?? "") in \(clock.now - start), built with \(options)")
            programs[name] = program
            return program
        }
        let program = try build(source, file: file, options: options)
        log.debug("built \(file) in \(clock.now - start) with \(options)")
        programs[name] = program
        if let key { unkept.append((program, key, String(file.dropLast(".cl".count)), defines)) }
        return program
    }

    /// Writes the programs whose kernels all are compiled by now to the cache.
    func keepPrograms() {
        guard let programCache, !unkept.isEmpty else { return }
        let kept = programsKept
        unkept.removeAll { entry in
            let compiled = compiled.filter { $0.family == entry.family && $0.defines == entry.defines }
            guard programCache.keep(entry.program, entry.key, compiled: Set(compiled.map(\.kernel))) else { return false }
            programsKept += 1
            return true
        }
        if programsKept > kept { programCache.prune() }
    }

    /// Builds the programs of the launches on several threads. One that does not build is left to whoever needs it.
    func buildPrograms(of launches: [Launch]) {
        var missing: [String: (file: String, source: String, options: String)] = [:]
        for launch in launches {
            let (file, options) = (launch.family + ".cl", buildOptions(launch.defines))
            let key = file + options
            guard programs[key] == nil, missing[key] == nil, let source = try? sources.expanded(file) else { continue }
            missing[key] = (file, source, options)
        }
        let jobs = missing.sorted { $0.key < $1.key }
        let built = Mutex<[String: UInt]>([:])
        let start = ContinuousClock.now
        nonisolated(unsafe) let device = self
        DispatchQueue.concurrentPerform(iterations: jobs.count) { index in
            let (key, job) = jobs[index]
            guard let program = try? device.build(job.source, file: job.file, options: job.options) else { return }
            let count = built.withLock {
                $0[key] = UInt(bitPattern: program)
                return $0.count
            }
            if ProgramBuild.seconds(since: start) > ProgramBuild.silence { device.compiling?(count, jobs.count) }
        }
        for (key, program) in built.withLock({ $0 }) { programs[key] = OpaquePointer(bitPattern: program) }
        log.debug("built \(jobs.count) programs in \(ContinuousClock.now - start)")
    }

    /// What every program is built with, and its own -D values.
    func buildOptions(_ defines: [String: String]) -> String {
        var options = (["-cl-std=CL1.2"] + traits.definitions).joined(separator: " ")
        for (name, value) in defines.sorted(by: { $0.key < $1.key }) { options += " -D\(name)=\(value)" }
        return options
    }

    private func build(_ source: String, file: String, options: String) throws -> cl_program {
        var status: cl_int = 0
        let created = source.withCString { text -> cl_program? in
            var pointer: UnsafePointer<CChar>? = text
            return clCreateProgramWithSource(context, 1, &pointer, nil, &status)
        }
        guard let program = created else { throw OpenCLError(code: status, subject: "program \(file)") }
        var id: cl_device_id? = about.id
        let result = clBuildProgram(program, 1, &id, options, nil, nil)
        guard result == CL_SUCCESS else {
            defer { clReleaseProgram(program) }
            throw DeviceError(
                "\(file) does not build on \(about.name) (\(OpenCLError.name(of: result)), \(options)):\n"
                    + buildLog(program))
        }
        return program
    }

    private func buildLog(_ program: cl_program) -> String {
        var size = 0
        guard clGetProgramBuildInfo(program, about.id, cl_program_build_info(CL_PROGRAM_BUILD_LOG), 0, nil, &size) == CL_SUCCESS,
            size > 0
        else { return "(the driver gives no build log)" }
        var bytes = [UInt8](repeating: 0, count: size)
        clGetProgramBuildInfo(program, about.id, cl_program_build_info(CL_PROGRAM_BUILD_LOG), size, &bytes, nil)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// True when `source` builds here: how anything beyond OpenCL C 1.2 is found out, never from a vendor's name.
    public func probe(_ source: String, options: String = "") -> Bool {
        do {
            clReleaseProgram(try build(source, file: "probe", options: options))
            return true
        } catch {
            log.debug("probe refused: \(error)")
            return false
        }
    }

    // MARK: Queue

    /// Waits for all work issued so far.
    public func finish() throws { try commands.finish() }

    /// Copies `bytes` into `buffer` behind the work issued so far.
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: Buffer, at byteOffset: Int) throws {
        try commands.write(bytes, to: buffer.handle, at: byteOffset, buffer.name)
    }

    /// Reads from `buffer` after all work issued so far.
    func read(_ buffer: Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        try commands.read(buffer.handle, at: byteOffset, into: bytes, buffer.name)
    }

    /// Whether a buffer of `byteCount` can be had. What the device does not promise is tried, and `allocationLimit` falls to what
    /// it promises where it is refused.
    public func gives(_ byteCount: Int) -> Bool {
        guard about.maxAllocation > 0, byteCount > about.maxAllocation else { return true }
        do {
            _ = try Buffer(self, name: "trial", byteCount: byteCount)
            return true
        } catch {
            log.debug("\(error)")
            allocationLimit = about.maxAllocation
            return false
        }
    }

    /// What the last bits of its results depend on, beside the program.
    package var arithmetic: String {
        "\(about.name), driver \(about.driver), \(gemm.name) \(precision.rawValue), teams of \(traits.teamSize) x \(traits.lanes)"
    }

    /// The end of an error about a buffer above `allocationLimit`.
    public var allocationHint: String {
        guard allocationLimit == about.maxAllocation else { return "" }
        return about.kind == .gpu ? ", or unset DRIFTGPU_ALLOCATION if it is set: some drivers give more than they promise" : ""
    }
}
