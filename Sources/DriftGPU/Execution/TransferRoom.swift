import COpenCL

/// Memory of the host whose bytes go to a device straight from where they were written, with no copy on the way: pinned memory where
/// the device has memory of its own, else plain memory.
///
/// Any thread may write to it; all else is done by the thread that issues the device's work. What was sent must stay as it is until
/// `wait` has returned for it.
public final class TransferRoom: @unchecked Sendable {
    public let bytes: UnsafeMutableRawBufferPointer
    private let device: Device
    /// Nil where `bytes` were allocated without the driver.
    private let block: PinnedBlock?
    /// Of what is on its way, by where it begins.
    private var events: [Int: cl_event] = [:]

    /// All zeros.
    init(_ device: Device, byteCount: Int) {
        self.device = device
        let size = max(4, byteCount)
        let block = device.commands.isPinning ? PinnedBlock(device.context, device.queue, byteCount: size) : nil
        self.block = block
        bytes = block.map { UnsafeMutableRawBufferPointer(start: $0.bytes, count: size) } ?? .allocate(byteCount: size, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        for start in events.keys { try? wait(start) }
        if block == nil { bytes.deallocate() }
    }

    /// The same memory as floats.
    public var values: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }

    /// Whether the device reads these bytes by itself.
    public var isPinned: Bool { block != nil }

    /// Sends the bytes of `range` to a buffer, behind the work issued so far.
    func send(_ range: Range<Int>, to buffer: Buffer, at byteOffset: Int) throws {
        guard !range.isEmpty, let base = bytes.baseAddress else { return }
        try wait(range.lowerBound)
        var event: cl_event?
        try OpenCLError.check(
            clEnqueueWriteBuffer(
                device.queue, buffer.handle, cl_bool(CL_FALSE), byteOffset, range.count, base + range.lowerBound, 0, nil, &event),
            "writing buffer \(buffer.name)")
        events[range.lowerBound] = event
    }

    /// Waits until the device has what was sent from byte `start` on.
    public func wait(_ start: Int) throws {
        guard let event = events.removeValue(forKey: start) else { return }
        defer { clReleaseEvent(event) }
        var waited: cl_event? = event
        try OpenCLError.check(clWaitForEvents(1, &waited), "writing to \(device.about.name)")
    }
}

extension DeviceMemory {
    /// Room for so many bytes on their way to this memory.
    public func room(byteCount: Int) -> TransferRoom { TransferRoom(device, byteCount: byteCount) }

    /// Sends the bytes of `range` in `room` to `storage` from its element `offset` on, behind the work issued so far and without a
    /// copy: they must stay until `room.wait(range.lowerBound)` has returned.
    public func send(_ range: Range<Int>, of room: TransferRoom, to storage: Storage, at offset: Int = 0) throws {
        let size = storage.element.byteCount
        guard range.lowerBound >= 0, range.upperBound <= room.bytes.count, range.count % size == 0, offset >= 0,
            range.count / size <= storage.count - offset
        else {
            throw GraphError("storage \(storage.name): bytes \(range) of \(room.bytes.count) do not fit \(storage.count) of \(storage.element.rawValue) at \(offset)")
        }
        try room.send(range, to: buffer(storage), at: guardBytes + offset * size)
    }
}
