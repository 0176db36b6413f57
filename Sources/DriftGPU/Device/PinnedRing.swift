import COpenCL

/// Pinned memory through which bytes go to a device: blocks that are allocated once and stay mapped as long as the queue lives.
///
/// A block is filled piece by piece. A marker in the queue follows its last piece, and the block is used again when that has passed.
final class PinnedRing {
    let blockBytes: Int
    private let queue: cl_command_queue
    private var blocks: [PinnedBlock] = []
    /// Of the marker behind what was sent from each block; nil where nothing is on its way.
    private var events: [cl_event?]
    private var current = 0
    /// Bytes of the current block that are taken.
    private var used = 0
    /// How often a block was waited for.
    private(set) var waits = 0

    /// Pieces begin at multiples of this.
    private static let alignment = 64

    /// Nil where the driver does not give such memory. `blockBytes` is a multiple of 64.
    init?(_ context: cl_context, _ queue: cl_command_queue, blocks count: Int = 4, blockBytes: Int = 8 << 20) {
        self.blockBytes = blockBytes
        self.queue = queue
        events = [cl_event?](repeating: nil, count: count)
        for _ in 0..<count {
            guard let block = PinnedBlock(context, queue, byteCount: blockBytes) else { return nil }
            blocks.append(block)
        }
    }

    deinit { clear() }

    /// Copies `bytes` into the ring piece by piece and hands each to `enqueue`, with its place in `bytes`. Waits where the ring is
    /// full. Returns the driver's code.
    func send(_ bytes: UnsafeRawBufferPointer, _ enqueue: (UnsafeRawPointer, Range<Int>) -> cl_int) -> cl_int {
        guard let source = bytes.baseAddress else { return CL_SUCCESS }
        var start = 0
        while start < bytes.count {
            if used == blockBytes {
                let status = advance()
                if status != CL_SUCCESS { return status }
            }
            let count = min(bytes.count - start, blockBytes - used)
            let place = blocks[current].bytes + used
            place.copyMemory(from: source + start, byteCount: count)
            let status = enqueue(place, start..<(start + count))
            // Also where it failed: what a driver did with the bytes is not known then.
            used = min(blockBytes, used + (count + Self.alignment - 1) / Self.alignment * Self.alignment)
            if status != CL_SUCCESS { return status }
            start += count
        }
        return CL_SUCCESS
    }

    /// Has the next block be the current one, once the queue has passed what was sent from it.
    private func advance() -> cl_int {
        if events[current] == nil {
            let status = clEnqueueMarkerWithWaitList(queue, 0, nil, &events[current])
            if status != CL_SUCCESS { return status }
        }
        let next = (current + 1) % blocks.count
        if let event = events[next] {
            var waited: cl_event? = event
            let status = clWaitForEvents(1, &waited)
            if status != CL_SUCCESS { return status }
            waits += 1
            clReleaseEvent(event)
            events[next] = nil
        }
        (current, used) = (next, 0)
        return CL_SUCCESS
    }

    /// The queue has passed all that was sent.
    func clear() {
        for case let event? in events { clReleaseEvent(event) }
        events = [cl_event?](repeating: nil, count: blocks.count)
        used = 0
    }
}
