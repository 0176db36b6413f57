import COpenCL

/// A device allocation.
final class Buffer {
    let handle: cl_mem
    let name: String
    let byteCount: Int
    private let device: Device

    /// Allocates and fills with `fill`. Throws naming the buffer and its size.
    init(_ device: Device, name: String, byteCount: Int, fill: UInt32 = 0) throws {
        let size = Self.rounded(byteCount)
        let (limit, total) = (device.allocationLimit, device.about.globalMemory)
        guard size <= limit || limit == 0 else {
            throw DeviceError(
                "buffer \(name): \(size) bytes are more than \(device.about.name) allocates at once (\(limit)); use a smaller batch or model\(device.allocationHint)")
        }
        guard total == 0 || size <= total - device.allocatedBytes else {
            throw DeviceError(
                "buffer \(name): \(size) bytes do not fit beside the \(device.allocatedBytes) in use on \(device.about.name), which has \(total); use a smaller batch or model")
        }
        let promised = device.about.maxAllocation
        let isPromised = promised == 0 || size <= promised
        func failure(_ code: cl_int) -> any Error {
            let what = isPromised ? "has no room for \(size) bytes" : "promises \(promised) bytes at once and does not give \(size)"
            let rest = isPromised ? ", or end other programs that use the device" : ""
            return DeviceError("buffer \(name): \(device.about.name) \(what) (\(OpenCLError.name(of: code))); use a smaller batch or model\(rest)")
        }
        var status: cl_int = 0
        guard let handle = clCreateBuffer(device.context, cl_mem_flags(CL_MEM_READ_WRITE), size, nil, &status) else {
            throw failure(status)
        }
        var filled = device.commands.fill(handle, with: fill, byteCount: size)
        // Drivers allocate when memory is first used: what they did not promise is tried at once.
        if filled == CL_SUCCESS, !isPromised {
            filled = device.commands.drain()
        }
        guard filled == CL_SUCCESS else {
            clReleaseMemObject(handle)
            throw failure(filled)
        }
        self.handle = handle
        self.name = name
        self.device = device
        self.byteCount = size
        device.allocatedBytes += size
    }

    deinit {
        clReleaseMemObject(handle)
        device.allocatedBytes -= byteCount
    }

    /// What a buffer of that many bytes takes.
    static func rounded(_ byteCount: Int) -> Int { max(4, (byteCount + 3) & ~3) }
}
