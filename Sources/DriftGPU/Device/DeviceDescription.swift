import COpenCL
import Foundation
import Logging

/// One OpenCL device of one platform, and what was read from it. Listing devices opens no context.
public struct DeviceDescription: @unchecked Sendable {
    public enum Kind: String, Sendable { case cpu, gpu, accelerator, other }

    // OpenCL's handles of platforms and root devices are constant for the life of the process, hence Sendable.
    let id: cl_device_id
    /// Position in `all()`, the N of `--device N`.
    public let index: Int
    public let platform: String
    public let name: String
    public let vendor: String
    public let driver: String
    public let languageVersion: String
    public let extensions: [String]
    public let kind: Kind
    public let computeUnits: Int
    /// Megahertz; 0 where the driver does not say.
    public let clockRate: Int
    /// Whether it has no memory but the host's.
    public let sharesHostMemory: Bool
    /// Native vector width in floats.
    public let vectorWidth: Int
    public let maxWorkGroupSize: Int
    public let localMemory: Int
    public let globalMemory: Int
    public let maxAllocation: Int
    public let isAvailable: Bool
    /// UUID and PCI address, where the driver says them.
    public let identity: DeviceIdentity

    /// Some drivers set themselves up in the first listing and cannot do so from two threads at once.
    private static let listing = NSLock()

    /// Every device of every platform: platforms as the ICD loader reports them, the devices of each by PCI address where all have
    /// one, else as their driver lists them. Throws a `DeviceError` that says what to
    /// do when there is no platform at all.
    public static func all() throws -> [DeviceDescription] {
        listing.lock()
        defer { listing.unlock() }
        let environment = ProcessInfo.processInfo.environment
        let cache = DriverCache.replacement(environment: environment)
        if let cache { setenv(DriverCache.variable, cache, 1) }
        ProgramCache.prepareDrivers()
        var count: cl_uint = 0
        let status = clGetPlatformIDs(0, nil, &count)
        if status == -1001 || (status == CL_SUCCESS && count == 0) { throw DeviceError(noPlatform) }
        try OpenCLError.check(status, "clGetPlatformIDs")
        var platforms = [cl_platform_id?](repeating: nil, count: Int(count))
        try OpenCLError.check(clGetPlatformIDs(count, &platforms, nil), "clGetPlatformIDs")
        var devices: [DeviceDescription] = []
        var isPoCL = false
        for case let platform? in platforms {
            let platformName = string { clGetPlatformInfo(platform, cl_platform_info(CL_PLATFORM_NAME), $0, $1, $2) }
            var deviceCount: cl_uint = 0
            let all = cl_device_type(0xFFFF_FFFF)
            isPoCL = isPoCL || platformName == "Portable Computing Language"
            if let cache, platformName == "Portable Computing Language" {
                Logger(label: "driftgpu.device").warning(
                    "\(DriverCache.usual(environment)) cannot be written: PoCL keeps compiled kernels in \(cache); set \(DriverCache.variable) to choose another folder")
            }
            // A platform without devices is no error: the next one may have some.
            guard clGetDeviceIDs(platform, all, 0, nil, &deviceCount) == CL_SUCCESS, deviceCount > 0 else { continue }
            var ids = [cl_device_id?](repeating: nil, count: Int(deviceCount))
            try OpenCLError.check(clGetDeviceIDs(platform, all, deviceCount, &ids, nil), "platform \(platformName)")
            // Drivers may list the fastest first, or what an environment variable says: an index should mean the same device.
            let first = devices.count
            let listed = ids.compactMap { $0 }.map { DeviceDescription(id: $0, index: 0, platform: platformName) }
            for (position, id) in DeviceIdentity.order(listed.map(\.identity)).map({ listed[$0].id }).enumerated() {
                devices.append(DeviceDescription(id: id, index: first + position, platform: platformName))
            }
        }
        if devices.isEmpty {
            throw DeviceError("no OpenCL device: \(count) platform(s) found, none has a device; "
                    + (isPoCL ? "PoCL needs a folder that it can write: set \(DriverCache.variable) to one; or " : "") + installHint)
        }
        return devices
    }

    private static let installHint =
        "install pocl-opencl-icd for CPU mode, or point OCL_ICD_VENDORS at a folder whose .icd file holds the absolute path of the vendor's library (NVIDIA: libnvidia-opencl.so.1)"

    private static let noPlatform = "no OpenCL platform: the ICD loader found no driver; " + installHint

    /// The device that `choice` names: nil for the best GPU, else the CPU; `cpu`, `gpu`, an index, a PCI address, the beginning of
    /// a UUID, or a part of the name. Throws a `DeviceError` that lists what there is.
    public static func choose(_ choice: String?) throws -> DeviceDescription {
        let devices = try all().filter(\.isAvailable)
        let chosen = try DeviceChoice.choose(
            choice,
            from: devices.map { DeviceChoice(index: $0.index, name: $0.name, identity: $0.identity, strength: $0.strength) })
        guard let device = devices.first(where: { $0.index == chosen.index }) else {
            throw DeviceError("no OpenCL device is available")
        }
        return device
    }

    private var strength: DeviceStrength {
        DeviceStrength(
            kind: kind, sharesHostMemory: sharesHostMemory, computeUnits: computeUnits, clockRate: clockRate, index: index)
    }

    private init(id: cl_device_id, index: Int, platform: String) {
        func text(_ key: Int32) -> String {
            Self.string { clGetDeviceInfo(id, cl_device_info(key), $0, $1, $2) }
        }
        func number<T: FixedWidthInteger>(_ key: Int32, _ type: T.Type) -> Int {
            var value: T = 0
            let status = clGetDeviceInfo(id, cl_device_info(key), MemoryLayout<T>.size, &value, nil)
            return status == CL_SUCCESS ? Int(clamping: value) : 0
        }
        self.id = id
        self.index = index
        self.platform = platform
        name = text(CL_DEVICE_NAME)
        vendor = text(CL_DEVICE_VENDOR)
        driver = text(CL_DRIVER_VERSION)
        languageVersion = text(CL_DEVICE_OPENCL_C_VERSION)
        extensions = text(CL_DEVICE_EXTENSIONS).split(separator: " ").map(String.init)
        let type = number(CL_DEVICE_TYPE, UInt64.self)
        kind = type & 4 != 0 ? .gpu : type & 2 != 0 ? .cpu : type & 8 != 0 ? .accelerator : .other
        computeUnits = max(1, number(CL_DEVICE_MAX_COMPUTE_UNITS, UInt32.self))
        clockRate = number(CL_DEVICE_MAX_CLOCK_FREQUENCY, UInt32.self)
        sharesHostMemory = number(CL_DEVICE_HOST_UNIFIED_MEMORY, UInt32.self) != 0
        vectorWidth = number(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, UInt32.self)
        maxWorkGroupSize = max(1, number(CL_DEVICE_MAX_WORK_GROUP_SIZE, Int.self))
        localMemory = number(CL_DEVICE_LOCAL_MEM_SIZE, UInt64.self)
        globalMemory = number(CL_DEVICE_GLOBAL_MEM_SIZE, UInt64.self)
        maxAllocation = number(CL_DEVICE_MAX_MEM_ALLOC_SIZE, UInt64.self)
        isAvailable = number(CL_DEVICE_AVAILABLE, UInt32.self) != 0
        identity = DeviceIdentity(extensions: extensions) { key, count in
            var bytes = [UInt8](repeating: 0, count: count)
            return clGetDeviceInfo(id, cl_device_info(key), count, &bytes, nil) == CL_SUCCESS ? bytes : nil
        }
    }

    static func string(_ read: (Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32) -> String {
        var size = 0
        guard read(0, nil, &size) == CL_SUCCESS, size > 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard read(size, &bytes, nil) == CL_SUCCESS else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
