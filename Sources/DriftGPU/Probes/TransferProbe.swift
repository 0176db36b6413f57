import COpenCL
import Foundation

/// How fast bytes go between host and device: from memory of the process, and from memory that the driver pinned.
public struct TransferProbe: Codable, Sendable {
    /// The fastest of several transfers, in seconds.
    public struct Pair: Codable, Sendable {
        public let write: Double
        public let read: Double
    }

    /// Long enough for a bus to show its speed.
    public static let bytes = 256 << 20

    public let bytes: Int
    public let pageable: Pair
    /// Memory of CL_MEM_ALLOC_HOST_PTR, mapped once; nil where the driver gives none.
    public let pinned: Pair?
    /// One word from memory of the process, waited for.
    public let word: Pair
    /// A copy within the device of as many bytes, the first time of which allocates.
    public let deviceCopy: Double

    /// Bytes a second.
    public func rate(_ seconds: Double) -> Double { seconds > 0 ? Double(bytes) / seconds : 0 }

    /// Times transfers of `bytes`. Throws what the driver says.
    public init(_ device: Device, bytes: Int = Self.bytes, repetitions: Int = 5) throws {
        self.bytes = bytes
        let (buffer, other) = (try ProbeMemory(device, byteCount: bytes), try ProbeMemory(device, byteCount: bytes))
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
        defer { memory.deallocate() }
        memset(memory, 1, bytes)
        func fastest(_ what: String, _ body: () -> cl_int) throws -> Double {
            try (0...repetitions).map { _ in
                try ContinuousClock().measure {
                    try OpenCLError.check(body(), what)
                    try device.finish()
                } / .seconds(1)
            }.min() ?? 0
        }
        func pair(_ what: String, _ pointer: UnsafeMutableRawPointer, _ count: Int) throws -> Pair {
            let wait = cl_bool(CL_TRUE)
            return Pair(
                write: try fastest("writing from \(what)") {
                    clEnqueueWriteBuffer(device.queue, buffer.handle, wait, 0, count, pointer, 0, nil, nil)
                },
                read: try fastest("reading into \(what)") {
                    clEnqueueReadBuffer(device.queue, buffer.handle, wait, 0, count, pointer, 0, nil, nil)
                })
        }
        pageable = try pair("memory", memory, bytes)
        word = try pair("memory", memory, 4)
        pinned = try PinnedBlock(device.context, device.queue, byteCount: bytes).map { block in
            memset(block.bytes, 1, bytes)
            return try withExtendedLifetime(block) { try pair("pinned memory", block.bytes, bytes) }
        }
        deviceCopy = try fastest("copying") {
            clEnqueueCopyBuffer(device.queue, buffer.handle, other.handle, 0, 0, bytes, 0, nil, nil)
        }
    }
}
