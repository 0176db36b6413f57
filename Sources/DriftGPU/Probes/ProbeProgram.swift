import COpenCL

/// A program of a probe: built from text or from a binary, outside of the device's own programs.
final class ProbeProgram {
    let handle: cl_program
    private let device: Device
    private let name: String

    /// Builds `source`. Throws a `DeviceError` with the driver's words where it does not build.
    init(_ name: String, source: String, options: String = "-cl-std=CL1.2", on device: Device) throws {
        var status: cl_int = 0
        let created = source.withCString { text -> cl_program? in
            var pointer: UnsafePointer<CChar>? = text
            return clCreateProgramWithSource(device.context, 1, &pointer, nil, &status)
        }
        guard let created else { throw OpenCLError(code: status, subject: "program \(name)") }
        (handle, self.device, self.name) = (created, device, name)
        try build(options)
    }

    /// Builds what the driver takes for a binary: one that it gave, or PTX.
    init(_ name: String, binary: [UInt8], on device: Device) throws {
        var (status, accepted): (cl_int, cl_int) = (0, 0)
        var id: cl_device_id? = device.about.id
        let created = binary.withUnsafeBufferPointer { bytes -> cl_program? in
            var (length, pointer) = (bytes.count, bytes.baseAddress)
            return clCreateProgramWithBinary(device.context, 1, &id, &length, &pointer, &accepted, &status)
        }
        guard let created else { throw OpenCLError(code: status, subject: "program \(name) from a binary") }
        (handle, self.device, self.name) = (created, device, name)
        try build("")
    }

    deinit { clReleaseProgram(handle) }

    private func build(_ options: String) throws {
        var id: cl_device_id? = device.about.id
        let status = clBuildProgram(handle, 1, &id, options, nil, nil)
        guard status == CL_SUCCESS else {
            throw DeviceError("\(name) does not build (\(OpenCLError.name(of: status))): \(log)")
        }
    }

    /// What the driver says about the build.
    var log: String {
        var size = 0
        let key = cl_program_build_info(CL_PROGRAM_BUILD_LOG)
        guard clGetProgramBuildInfo(handle, device.about.id, key, 0, nil, &size) == CL_SUCCESS, size > 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard clGetProgramBuildInfo(handle, device.about.id, key, size, &bytes, nil) == CL_SUCCESS else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The device's binary; empty where the driver gives none.
    func binary() throws -> [UInt8] {
        var size = 0
        try OpenCLError.check(
            clGetProgramInfo(handle, cl_program_info(CL_PROGRAM_BINARY_SIZES), MemoryLayout<Int>.size, &size, nil),
            "size of the binary of \(name)")
        guard size > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: size)
        try bytes.withUnsafeMutableBufferPointer { buffer in
            var pointer = buffer.baseAddress
            try OpenCLError.check(
                clGetProgramInfo(
                    handle, cl_program_info(CL_PROGRAM_BINARIES), MemoryLayout<UnsafeMutablePointer<UInt8>?>.size, &pointer, nil),
                "binary of \(name)")
        }
        return bytes
    }

    /// The kernel of that name; whoever asks releases it.
    func kernel(_ kernel: String) throws -> cl_kernel {
        var status: cl_int = 0
        guard let handle = clCreateKernel(handle, kernel, &status) else {
            throw OpenCLError(code: status, subject: "kernel \(kernel) of \(name)")
        }
        return handle
    }
}

/// Memory of a probe, of any size: unlike `Buffer` it is neither filled nor held against what the device says it gives.
final class ProbeMemory {
    let handle: cl_mem
    let byteCount: Int
    private let device: Device

    init(_ device: Device, byteCount: Int) throws {
        var status: cl_int = 0
        guard let handle = clCreateBuffer(device.context, cl_mem_flags(CL_MEM_READ_WRITE), byteCount, nil, &status) else {
            throw OpenCLError(code: status, subject: "a buffer of \(byteCount) bytes")
        }
        (self.handle, self.byteCount, self.device) = (handle, byteCount, device)
    }

    deinit { clReleaseMemObject(handle) }

    /// The word `index`.
    func word(_ index: Int) throws -> UInt32 {
        var value: UInt32 = 0
        try OpenCLError.check(
            clEnqueueReadBuffer(device.queue, handle, cl_bool(CL_TRUE), 4 * index, 4, &value, 0, nil, nil),
            "reading word \(index) of \(byteCount / 4)")
        return value
    }

    /// Sets the word `index`.
    func write(_ value: UInt32, at index: Int) throws {
        var value = value
        try OpenCLError.check(
            clEnqueueWriteBuffer(device.queue, handle, cl_bool(CL_TRUE), 4 * index, 4, &value, 0, nil, nil),
            "writing word \(index) of \(byteCount / 4)")
    }
}

extension Device {
    /// Launches a probe's kernel with `arguments`, each a buffer or a plain value, over `items` work-items.
    func launchProbe(_ kernel: cl_kernel, _ arguments: [ProbeArgument], items: Int, group: Int? = nil) throws {
        for (position, argument) in arguments.enumerated() {
            try OpenCLError.check(argument.set(kernel, cl_uint(position)), "argument \(position) of a probe")
        }
        let local = group.map { [$0] }
        try OpenCLError.check(
            clEnqueueNDRangeKernel(queue, kernel, 1, nil, [items], local, 0, nil, nil), "launching a probe")
    }
}

/// An argument of a probe's kernel.
enum ProbeArgument {
    case memory(ProbeMemory)
    case uint(UInt32)
    case ulong(UInt64)

    func set(_ kernel: cl_kernel, _ position: cl_uint) -> cl_int {
        switch self {
        case .memory(let memory):
            var handle: cl_mem? = memory.handle
            return clSetKernelArg(kernel, position, MemoryLayout<cl_mem?>.size, &handle)
        case .uint(var value): return clSetKernelArg(kernel, position, 4, &value)
        case .ulong(var value): return clSetKernelArg(kernel, position, 8, &value)
        }
    }
}
