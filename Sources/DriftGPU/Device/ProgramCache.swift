import COpenCL
import Foundation

/// Programs as the driver has built them, in files of our own: one that is found here is there in a millisecond or two, where PoCL
/// takes thirty to read its headers before it looks into its cache.
///
/// For CPUs in the CPU shape alone. The drivers of GPUs keep programs themselves, and find them by the text as it is; in the GPU
/// shape a CPU only runs tests. The kernels that PoCL has compiled stay in its own cache, where a program from here finds them too.
///
/// A file says of itself which text, options, device and driver it is of, and is compared with that byte for byte. What is damaged or
/// of something else is never given to a driver. Nothing that goes wrong here is an error: the program is built from its text.
struct ProgramCache {
    /// DRIFTGPU_PROGRAM_CACHE: `off`, or the folder.
    static let variable = "DRIFTGPU_PROGRAM_CACHE"
    /// Days after which a file that nobody has read goes, and the bytes that all of them may have.
    static let (days, capacity) = (30.0, 256 << 20)

    let folder: String
    /// What programs are of besides their text and options.
    private let owner: String

    /// Nil where programs of `about` in this shape are not kept, or there is no folder.
    init?(
        _ folder: String?, for about: DeviceDescription, _ traits: DeviceTraits,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        guard let folder, about.kind == .cpu, !traits.isGPUShape else { return nil }
        self.folder = folder
        owner = ([about.name, about.driver, about.platform] + Self.versions(about) + Self.settings(environment)).joined(separator: "\n")
    }

    /// PoCL's own settings (for which processor, by which method) that change what it makes of a program.
    private static func settings(_ environment: [String: String]) -> [String] {
        environment.filter { $0.key.hasPrefix("POCL_") && $0.key != DriverCache.variable && $0.key != "POCL_DEBUG" }
            .map { $0.key + "=" + $0.value }.sorted()
    }

    /// The folder that `environment` says; nil for none.
    static func folder(environment: [String: String]) -> String? {
        switch environment[variable] {
        case "off": nil
        case let folder? where !folder.isEmpty: folder
        default: CacheFolder.path("programs", environment: environment)
        }
    }

    /// Versions of the device, which names the processor that PoCL compiles for, and of the platform, which names the compiler.
    private static func versions(_ about: DeviceDescription) -> [String] {
        let device = DeviceDescription.string { clGetDeviceInfo(about.id, cl_device_info(CL_DEVICE_VERSION), $0, $1, $2) }
        var platform: cl_platform_id?
        clGetDeviceInfo(about.id, cl_device_info(CL_DEVICE_PLATFORM), MemoryLayout<cl_platform_id?>.size, &platform, nil)
        return [device, DeviceDescription.string { clGetPlatformInfo(platform, cl_platform_info(CL_PLATFORM_VERSION), $0, $1, $2) }]
    }

    // MARK: PoCL

    private static let specialization = "POCL_WORK_GROUP_SPECIALIZATION"

    /// Has PoCL compile a kernel once, for the work-group that the kernel itself says (TEAM_KERNEL of team.cl): asked for a
    /// program, it compiles all kernels that way, and those that run would be compiled another way again. Before its first launch.
    static func prepareDrivers() { setenv(specialization, "0", 0) }

    /// Whether a driver gives a program without compiling again what it has compiled.
    private static var isCheap: Bool { getenv(specialization).map { String(cString: $0) } == "0" }

    // MARK: Programs

    /// What a program is of.
    func key(_ source: String, options: String) -> [UInt8] { Array((owner + "\n" + options + "\n" + source).utf8) }

    /// The program of `key`, built; nil where there is none, or the driver does not take it.
    func program(_ key: [UInt8], _ context: cl_context, _ device: cl_device_id) -> cl_program? {
        let path = path(key)
        guard let file = FileManager.default.contents(atPath: path), let binary = Self.binary(in: file, of: key) else { return nil }
        var (id, size, status): (cl_device_id?, Int, cl_int) = (device, binary.count, 0)
        var verdict: cl_int = 0
        let created = binary.withUnsafeBytes { bytes in
            var pointer = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return clCreateProgramWithBinary(context, 1, &id, &size, &pointer, &verdict, &status)
        }
        guard let program = created else { return nil }
        guard status == CL_SUCCESS, verdict == CL_SUCCESS, clBuildProgram(program, 1, &id, "", nil, nil) == CL_SUCCESS else {
            clReleaseProgram(program)
            return nil
        }
        // What is read stays.
        utimes(path, nil)
        return program
    }

    /// Keeps a built program if all of its kernels are among `compiled`: PoCL compiles the others when it is asked for the program.
    /// False where it is not kept.
    func keep(_ program: cl_program, _ key: [UInt8], compiled: Set<String>) -> Bool {
        let names = Self.kernels(of: program)
        guard Self.isCheap, !names.isEmpty, names.allSatisfy(compiled.contains), let binary = Self.binary(of: program) else { return false }
        return write(Self.file(binary, of: key), to: path(key))
    }

    private static func kernels(of program: cl_program) -> [String] {
        DeviceDescription.string { clGetProgramInfo(program, cl_program_info(CL_PROGRAM_KERNEL_NAMES), $0, $1, $2) }
            .split(separator: ";").map(String.init)
    }

    private static func binary(of program: cl_program) -> [UInt8]? {
        var size = 0
        guard clGetProgramInfo(program, cl_program_info(CL_PROGRAM_BINARY_SIZES), MemoryLayout<Int>.size, &size, nil) == CL_SUCCESS,
            size > 0
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: size)
        let status = bytes.withUnsafeMutableBufferPointer { buffer in
            var pointer = buffer.baseAddress
            return clGetProgramInfo(
                program, cl_program_info(CL_PROGRAM_BINARIES), MemoryLayout<UnsafeMutablePointer<UInt8>?>.size, &pointer, nil)
        }
        return status == CL_SUCCESS ? bytes : nil
    }

    // MARK: Files

    private static let ending = ".program"
    private static let mark = Array("driftgpu program 1\n".utf8)

    /// Programs whose hashes are the same have the same file: the later one stays in it.
    func path(_ key: [UInt8]) -> String {
        var hash = WordHash()
        key.withUnsafeBytes { hash.add($0) }
        return folder + "/" + hash.text + Self.ending
    }

    /// A file: the mark; the bytes of key and binary, and the hash of both, each in 8 bytes; key; binary.
    static func file(_ binary: [UInt8], of key: [UInt8]) -> [UInt8] {
        let body = key + binary
        return mark + [UInt64(key.count), UInt64(binary.count), checksum(body[...])].flatMap { number in
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        } + body
    }

    /// What a file holds, if it is whole and of `key`.
    static func binary(in file: Data, of key: [UInt8]) -> ArraySlice<UInt8>? {
        let bytes = [UInt8](file)
        let start = mark.count + 24
        guard bytes.count > start, bytes.starts(with: mark) else { return nil }
        let numbers = bytes.withUnsafeBytes { bytes in
            (0..<3).map { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: mark.count + 8 * $0, as: UInt64.self)) }
        }
        guard numbers[0] == key.count, numbers[1] == bytes.count - start - key.count, numbers[1] > 0,
            bytes[start..<start + key.count].elementsEqual(key), numbers[2] == checksum(bytes[start...])
        else { return nil }
        return bytes[(start + key.count)...]
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        var hash = WordHash()
        bytes.withUnsafeBytes { hash.add($0) }
        return hash.value
    }

    /// Under another name first: several processes may write the same file, and others read it.
    private func write(_ bytes: [UInt8], to path: String) -> Bool {
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var name = Array((path + "-XXXXXX").utf8CString)
        let descriptor = mkstemp(&name)
        guard descriptor >= 0 else { return false }
        let temporary = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        let isWritten = (try? file.write(contentsOf: Data(bytes))) != nil
        guard close(descriptor) == 0, isWritten, rename(temporary, path) == 0 else {
            unlink(temporary)
            return false
        }
        return true
    }

    /// Removes what nobody has read for `days`, and of the rest what was read longest ago, until no more than `capacity` bytes are
    /// left. Files that are not ours stay.
    func prune(days: Double = Self.days, capacity: Int = Self.capacity, now: Date = Date()) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        // Those of writers that were killed, too.
        let ours = names.filter { $0.hasSuffix(Self.ending) || $0.contains(Self.ending + "-") }
        let files = ours.compactMap { name -> (path: String, read: Date, bytes: Int)? in
            let path = folder + "/" + name
            guard let found = try? FileManager.default.attributesOfItem(atPath: path), let read = found[.modificationDate] as? Date,
                let bytes = found[.size] as? Int
            else { return nil }
            return (path, read, bytes)
        }
        var left = capacity
        for file in files.sorted(by: { $0.read > $1.read }) {
            left -= file.bytes
            if left < 0 || now.timeIntervalSince(file.read) > days * 86400 { unlink(file.path) }
        }
    }
}
