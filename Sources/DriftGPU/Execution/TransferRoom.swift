import COpenCL

/// Floats of the host that go to a device straight from where they were written, with no copy on the way: pinned memory where the
/// device has memory of its own, else plain memory.
///
/// Any thread may write to `values`; all else is done by the thread that issues the device's work. What was sent must stay as it
/// is until `wait` has returned for it.
public final class TransferRoom: @unchecked Sendable {
    public let values: UnsafeMutableBufferPointer<Float>
    private let device: Device
    /// Nil where `values` were allocated without the driver.
    private let block: PinnedBlock?
    /// Of what is on its way, by where it begins.
    private var events: [Int: cl_event] = [:]

    /// All zeros.
    init(_ device: Device, count: Int) {
        self.device = device
        let block = device.commands.isPinning
            ? PinnedBlock(device.context, device.queue, byteCount: max(1, count) * MemoryLayout<Float>.stride) : nil
        self.block = block
        values = block.map { UnsafeMutableBufferPointer(start: $0.bytes.bindMemory(to: Float.self, capacity: count), count: count) }
            ?? .allocate(capacity: count)
        values.initialize(repeating: 0)
    }

    deinit {
        for start in events.keys { try? wait(start) }
        if block == nil { values.deallocate() }
    }

    /// Whether the device reads these values by itself.
    public var isPinned: Bool { block != nil }

    /// Sends the values of `range` to a buffer, behind the work issued so far.
    func send(_ range: Range<Int>, to buffer: Buffer, at byteOffset: Int) throws {
        guard !range.isEmpty, let base = values.baseAddress else { return }
        try wait(range.lowerBound)
        var event: cl_event?
        try OpenCLError.check(
            clEnqueueWriteBuffer(
                device.queue, buffer.handle, cl_bool(CL_FALSE), byteOffset, range.count * MemoryLayout<Float>.stride,
                base + range.lowerBound, 0, nil, &event), "writing buffer \(buffer.name)")
        events[range.lowerBound] = event
    }

    /// Waits until the device has what was sent from `start` on.
    public func wait(_ start: Int) throws {
        guard let event = events.removeValue(forKey: start) else { return }
        defer { clReleaseEvent(event) }
        var waited: cl_event? = event
        try OpenCLError.check(clWaitForEvents(1, &waited), "writing to \(device.about.name)")
    }
}

extension DeviceMemory {
    /// Room for `count` floats on their way to this memory.
    public func room(_ count: Int) -> TransferRoom { TransferRoom(device, count: count) }

    /// Sends the values of `range` in `room` to `storage` from its element `offset` on, behind the work issued so far and without a
    /// copy: they must stay until `room.wait(range.lowerBound)` has returned.
    public func send(_ range: Range<Int>, of room: TransferRoom, to storage: Storage, at offset: Int = 0) throws {
        guard storage.element == .float32, range.lowerBound >= 0, range.upperBound <= room.values.count, offset >= 0,
            range.count <= storage.count - offset
        else {
            throw GraphError("storage \(storage.name): values \(range) of \(room.values.count) do not fit \(storage.count) at \(offset)")
        }
        try room.send(range, to: buffer(storage), at: guardBytes + offset * MemoryLayout<Float>.stride)
    }
}
