import COpenCL

/// Host memory that a device with memory of its own reads and writes by itself, mapped as long as it lives. From other host memory a
/// driver copies into such memory of its own first.
final class PinnedBlock {
    let bytes: UnsafeMutableRawPointer
    private let buffer: cl_mem
    private let queue: cl_command_queue

    /// Nil where the driver does not give such memory.
    init?(_ context: cl_context, _ queue: cl_command_queue, byteCount: Int) {
        var status: cl_int = 0
        let flags = cl_mem_flags(CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR)
        guard let buffer = clCreateBuffer(context, flags, byteCount, nil, &status) else { return nil }
        let access = cl_map_flags(CL_MAP_READ | CL_MAP_WRITE)
        guard let bytes = clEnqueueMapBuffer(queue, buffer, cl_bool(CL_TRUE), access, 0, byteCount, 0, nil, nil, &status) else {
            clReleaseMemObject(buffer)
            return nil
        }
        clRetainCommandQueue(queue)
        (self.bytes, self.buffer, self.queue) = (bytes, buffer, queue)
    }

    deinit {
        clEnqueueUnmapMemObject(queue, buffer, bytes, 0, nil, nil)
        clReleaseMemObject(buffer)
        clReleaseCommandQueue(queue)
    }
}
