import COpenCL

/// How large a single buffer can be, which may be more than the driver says (NVIDIA's says a quarter of the memory).
public struct AllocationProbe: Codable, Sendable {
    /// A buffer that was asked for.
    public struct Attempt: Codable, Sendable {
        public let bytes: Int
        /// What the driver said; nil where a kernel wrote the last word and the host read it back.
        public let failure: String?
    }

    /// CL_DEVICE_MAX_MEM_ALLOC_SIZE.
    public let stated: Int
    /// CL_DEVICE_GLOBAL_MEM_SIZE.
    public let memory: Int
    /// From the stated size on, up to the first that fails.
    public let attempts: [Attempt]

    /// The largest buffer that worked; 0 where none did.
    public var largest: Int { attempts.filter { $0.failure == nil }.map(\.bytes).max() ?? 0 }

    /// Tries on `device`. Throws where not even a small kernel builds; a buffer that is refused is a result.
    public init(_ device: Device) throws {
        (stated, memory) = (device.about.maxAllocation, device.about.globalMemory)
        let program = try ProbeProgram("the probe of allocations", source: Self.source, on: device)
        let kernel = try program.kernel("put")
        defer { clReleaseKernel(kernel) }
        var attempts: [Attempt] = []
        for bytes in Self.sizes(stated: stated, memory: memory) {
            var failure: String?
            do { try Self.use(bytes, of: device, by: kernel) } catch { failure = "\(error)" }
            attempts.append(Attempt(bytes: bytes, failure: failure))
            if failure != nil { break }
        }
        self.attempts = attempts
    }

    /// Sizes in whole words, smallest first: the stated one, then more, as long as a tenth of the memory is left.
    static func sizes(stated: Int, memory: Int) -> [Int] {
        let limit = memory / 10 * 9
        let quarter = min(stated, 1 << 50) / 4
        let parts = [4, 5, 6, 8, 12, 14].map { quarter * $0 }
        return parts.filter { $0 > 0 && ($0 <= limit || memory == 0) }.map { $0 & ~3 }
    }

    /// A kernel writes the last word, by an index of 64 bits, and the host reads it.
    private static func use(_ bytes: Int, of device: Device, by kernel: cl_kernel) throws {
        let buffer = try ProbeMemory(device, byteCount: bytes)
        let (last, value) = (bytes / 4 - 1, UInt32(0x5EED))
        try device.launchProbe(kernel, [.memory(buffer), .ulong(UInt64(last)), .uint(value)], items: 1)
        try device.finish()
        let read = try buffer.word(last)
        guard read == value else { throw DeviceError("the last word is \(read), not \(value)") }
    }

    private static let source = "__kernel void put(__global uint *x, ulong place, uint value) { x[place] = value; }"
}
