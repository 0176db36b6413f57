import COpenCL

/// Something a device has to do, which can be waited for.
public final class DeviceEvent {
    fileprivate let handle: cl_event

    fileprivate init(of handle: cl_event?) throws {
        guard let handle else { throw GraphError("the device's driver gave no event") }
        self.handle = handle
    }

    deinit { clReleaseEvent(handle) }

    /// Returns when it is done.
    public func wait() throws {
        var event: cl_event? = handle
        try OpenCLError.check(clWaitForEvents(1, &event), "waiting for the device")
    }
}

/// Transfers between a device and the host beside what the device computes: a queue of its own for each direction. What is read waits for
/// points in the work of the device's own queue.
public final class TransferStream {
    private let memory: DeviceMemory
    private let incoming: CommandQueue
    private let outgoing: CommandQueue

    /// Throws where the driver gives no more queues.
    public init(_ memory: DeviceMemory) throws {
        self.memory = memory
        let device = memory.device
        incoming = try CommandQueue(device.context, device.about, profiling: false)
        outgoing = try CommandQueue(device.context, device.about, profiling: false)
    }

    /// Reads the elements of `range` in `storage` into `room` from its value `offset` on, once `mark` is reached.
    public func receive(_ range: Range<Int>, of storage: Storage, into room: TransferRoom, at offset: Int, after mark: DeviceEvent) throws -> DeviceEvent {
        guard offset >= 0, range.count <= room.values.count - offset, let base = room.values.baseAddress else {
            throw GraphError("storage \(storage.name): elements \(range) do not fit a room of \(room.values.count) at \(offset)")
        }
        return try transfer(range, of: storage, incoming, after: mark) { buffer, position, bytes, count, waits, event in
            clEnqueueReadBuffer(incoming.handle, buffer, cl_bool(CL_FALSE), position, bytes, base + offset, count, waits, event)
        }
    }

    /// Writes values of `room` from `offset` on to the elements of `range` in `storage`. They must stay until the event is done.
    public func send(_ range: Range<Int>, of storage: Storage, from room: TransferRoom, at offset: Int) throws -> DeviceEvent {
        guard offset >= 0, range.count <= room.values.count - offset, let base = room.values.baseAddress else {
            throw GraphError("storage \(storage.name): elements \(range) do not fit a room of \(room.values.count) at \(offset)")
        }
        return try transfer(range, of: storage, outgoing, after: nil) { buffer, position, bytes, count, waits, event in
            clEnqueueWriteBuffer(outgoing.handle, buffer, cl_bool(CL_FALSE), position, bytes, base + offset, count, waits, event)
        }
    }

    private func transfer(
        _ range: Range<Int>, of storage: Storage, _ queue: CommandQueue, after mark: DeviceEvent?,
        _ enqueue: (cl_mem, Int, Int, cl_uint, UnsafePointer<cl_event?>?, UnsafeMutablePointer<cl_event?>) -> cl_int
    ) throws -> DeviceEvent {
        guard storage.element == .float32, range.lowerBound >= 0, range.upperBound <= storage.count else {
            throw GraphError("storage \(storage.name): no elements \(range) of float32 in its \(storage.count)")
        }
        let buffer = try memory.buffer(storage)
        let position = memory.guardBytes + range.lowerBound * MemoryLayout<Float>.stride
        let bytes = range.count * MemoryLayout<Float>.stride
        var event: cl_event?
        let status: cl_int
        if let mark {
            var waited: cl_event? = mark.handle
            status = enqueue(buffer.handle, position, bytes, 1, &waited, &event)
        } else {
            status = enqueue(buffer.handle, position, bytes, 0, nil, &event)
        }
        try OpenCLError.check(status, "transfer of buffer \(buffer.name)")
        try queue.flush()
        return try DeviceEvent(of: event)
    }

    /// Has the work that the device is given from here on wait for `events`.
    public func join(_ events: [DeviceEvent]) throws {
        guard !events.isEmpty else { return }
        var handles: [cl_event?] = events.map(\.handle)
        try OpenCLError.check(
            clEnqueueBarrierWithWaitList(memory.device.queue, cl_uint(handles.count), &handles, nil), "waiting for transfers")
    }
}

extension DeviceMemory {
    /// The end of the work that the device has been given so far.
    public func mark() throws -> DeviceEvent {
        var event: cl_event?
        try OpenCLError.check(clEnqueueMarkerWithWaitList(device.queue, 0, nil, &event), "marking the queue")
        try device.commands.flush()
        return try DeviceEvent(of: event)
    }
}
