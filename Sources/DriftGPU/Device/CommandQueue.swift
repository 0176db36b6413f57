import COpenCL

/// The one in-order queue of a device, and the host's bytes on their way through it.
///
/// A write copies its bytes and returns at once. The copies are freed as soon as the queue is known to have passed them:
/// after a blocking transfer, which follows every earlier command, or after `finish`. For a device with memory of its own the
/// copies lie in a `PinnedRing`.
final class CommandQueue {
    /// Driver calls that tests put others in the place of: failing ones, and ones that count.
    struct Driver {
        var flush: (cl_command_queue) -> cl_int = { clFlush($0) }
        /// rusticl of Mesa 22.3 waits for nothing that a flush has sent before. A marker is something to wait for.
        var finish: (cl_command_queue) -> cl_int = { queue in
            let status = clEnqueueMarkerWithWaitList(queue, 0, nil, nil)
            return status == CL_SUCCESS ? clFinish(queue) : status
        }
        /// Queue, buffer, pattern, offset and bytes.
        var fill: (cl_command_queue, cl_mem, UInt32, Int, Int) -> cl_int = { queue, buffer, pattern, offset, count in
            var pattern = pattern
            return clEnqueueFillBuffer(queue, buffer, &pattern, 4, offset, count, 0, nil, nil)
        }
        /// Queue, buffer, offset, bytes and where they go; blocking.
        var read: (cl_command_queue, cl_mem, Int, Int, UnsafeMutableRawPointer) -> cl_int = {
            clEnqueueReadBuffer($0, $1, cl_bool(CL_TRUE), $2, $3, $4, 0, nil, nil)
        }
    }

    let handle: cl_command_queue
    private let device: String
    var driver = Driver()
    /// Most bytes of copies; more are waited for.
    var stagingLimit = 256 << 20
    /// Most bytes of one fill: NVIDIA's driver hangs from 2^31 on.
    var fillLimit = 1 << 30
    /// Whether writes go through pinned memory: a device that shares the host's gains nothing by it.
    var isPinning: Bool
    private var ring: PinnedRing?
    /// What makes the ring, at the first write.
    var makeRing: (cl_context, cl_command_queue) -> PinnedRing? = { PinnedRing($0, $1) }
    private let context: cl_context
    /// Copies that the queue may still read.
    private var staged: [UnsafeMutableRawPointer] = []
    /// Host memory that the copies take.
    private(set) var stagedBytes = 0

    /// What a copy takes beside its bytes: the allocator's and the list's share.
    private static let copyOverhead = 128

    /// Throws an `OpenCLError` that names the device.
    init(_ context: cl_context, _ about: DeviceDescription, profiling: Bool) throws {
        var status: cl_int = 0
        let properties = profiling ? cl_command_queue_properties(CL_QUEUE_PROFILING_ENABLE) : 0
        guard let queue = clCreateCommandQueue(context, about.id, properties, &status) else {
            throw OpenCLError(code: status, subject: "queue on \(about.name)")
        }
        handle = queue
        device = about.name
        self.context = context
        isPinning = !about.sharesHostMemory
    }

    deinit {
        // A queue that does not end may still read the copies.
        if drain() == CL_SUCCESS { release() }
        clReleaseCommandQueue(handle)
    }

    /// Waits for all work issued so far, where an error has nobody to go to. Returns the driver's code.
    @discardableResult func drain() -> cl_int { driver.finish(handle) }

    private func release() {
        for bytes in staged { bytes.deallocate() }
        staged.removeAll(keepingCapacity: staged.count < 1024)
        stagedBytes = 0
        ring?.clear()
    }

    /// Has the driver begin what was issued. Some drivers report a kernel's failure here.
    func flush() throws { try OpenCLError.check(driver.flush(handle), "queue on \(device)") }

    /// Waits for all work issued so far.
    func finish() throws {
        try OpenCLError.check(drain(), "queue on \(device)")
        release()
    }

    /// Copies `bytes` into a buffer behind the work issued so far. Waits only for more bytes than `stagingLimit`.
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: cl_mem, at offset: Int, _ name: String) throws {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        func enqueue(_ source: UnsafeRawPointer, blocking: Int32) throws {
            try OpenCLError.check(
                clEnqueueWriteBuffer(handle, buffer, cl_bool(blocking), offset, bytes.count, source, 0, nil, nil),
                "writing buffer \(name)")
        }
        if isPinning, ring == nil {
            ring = makeRing(context, handle)
            isPinning = ring != nil
        }
        if isPinning, let ring {
            return try OpenCLError.check(
                ring.send(bytes) { place, part in
                    clEnqueueWriteBuffer(
                        handle, buffer, cl_bool(CL_FALSE), offset + part.lowerBound, part.count, place, 0, nil, nil)
                }, "writing buffer \(name)")
        }
        let size = bytes.count + Self.copyOverhead
        if size > stagingLimit {
            try enqueue(base, blocking: CL_TRUE)
            return release()
        }
        if stagedBytes + size > stagingLimit { try finish() }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 64)
        copy.copyMemory(from: base, byteCount: bytes.count)
        do {
            try enqueue(copy, blocking: CL_FALSE)
        } catch {
            copy.deallocate()
            throw error
        }
        staged.append(copy)
        stagedBytes += size
    }

    /// Reads from a buffer after all work issued so far.
    func read(_ buffer: cl_mem, at offset: Int, into bytes: UnsafeMutableRawBufferPointer, _ name: String) throws {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try OpenCLError.check(driver.read(handle, buffer, offset, bytes.count, base), "reading buffer \(name)")
        release()
    }

    /// Repeats `pattern` over the first `byteCount` bytes of a buffer, a multiple of 4. Returns the driver's code.
    func fill(_ buffer: cl_mem, with pattern: UInt32, byteCount: Int) -> cl_int {
        for start in stride(from: 0, to: byteCount, by: fillLimit) {
            let status = driver.fill(handle, buffer, pattern, start, min(fillLimit, byteCount - start))
            if status != CL_SUCCESS { return status }
        }
        return CL_SUCCESS
    }

    /// Copies the first `byteCount` bytes from `offset` on of one buffer to the same place of another.
    func copy(_ source: cl_mem, to target: cl_mem, at offset: Int, byteCount: Int, _ name: String) throws {
        try OpenCLError.check(
            clEnqueueCopyBuffer(handle, source, target, offset, offset, byteCount, 0, nil, nil), "copying buffer \(name)")
    }
}
