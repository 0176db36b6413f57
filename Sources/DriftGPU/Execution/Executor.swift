import COpenCL
import Logging

/// A GEMM provider whose products are calls into a library.
protocol LibraryGEMM: GEMMProvider {
    /// Enqueues `gemm` on the device's queue; `resolve` gives buffer and element offset of an argument, `event` receives the
    /// library's event when the queue profiles.
    func enqueue(
        _ gemm: GEMM, on device: Device, resolve: (Argument) throws -> (buffer: cl_mem, offset: Int),
        event: UnsafeMutablePointer<cl_event?>?) throws
}

/// A schedule bound to a device: kernels created and arguments set once, then replayed. Nothing in a run waits for the device.
public final class Executor {
    public let schedule: Schedule
    public let memory: DeviceMemory
    private let device: Device
    private var arena: Buffer?
    private var entries: [Entry] = []
    /// Where the entries of each step begin, and after the last of them.
    private var firstEntries = [0]
    /// Receives the times of every launch when the device was opened for profiling.
    public var profiler: Profiler?

    private enum Entry {
        case kernel(cl_kernel, dimensions: cl_uint, global: [Int], local: [Int], name: String, step: Int)
        case library(GEMM, name: String, step: Int)
    }

    /// Allocates the arena and missing storages, writes constants, builds programs. Throws what the device says, naming the
    /// kernel or buffer.
    public init(_ schedule: Schedule, memory: DeviceMemory) throws {
        self.schedule = schedule
        self.memory = memory
        device = memory.device
        if schedule.plan.arenaBytes > 0 {
            arena = try Buffer(
                device, name: "arena", byteCount: schedule.plan.arenaBytes,
                fill: schedule.plan.guards.isEmpty ? 0 : DeviceMemory.sentinel)
        }
        Logger(label: "driftgpu.executor").debug("binding \(schedule.summary)")
        for storage in schedule.storages.values.sorted(by: { $0.name < $1.name }) {
            let isNew = !memory.contains(storage)
            _ = try memory.buffer(storage)
            guard isNew, let bytes = schedule.constants[storage.name] else { continue }
            try bytes.withUnsafeBytes { try device.write($0, to: memory.buffer(storage), at: memory.guardBytes) }
        }
        for (index, step) in schedule.steps.enumerated() {
            for command in step.commands { entries.append(try bind(command, step: step, index: index)) }
            firstEntries.append(entries.count)
        }
    }

    deinit {
        clFinish(device.queue)
        for case .kernel(let kernel, _, _, _, _, _) in entries { clReleaseKernel(kernel) }
    }

    private func bind(_ command: Command, step: Schedule.Step, index: Int) throws -> Entry {
        switch command {
        case .library(let gemm): return .library(gemm, name: step.node.operation.name, step: index)
        case .kernel(let launch):
            let kernel = try device.makeKernel(launch.kernel, family: launch.family, defines: launch.defines)
            var position: cl_uint = 0
            func set(_ size: Int, _ value: UnsafeRawPointer?) throws {
                try OpenCLError.check(
                    clSetKernelArg(kernel, position, size, value), "argument \(position) of kernel \(launch.kernel)")
                position += 1
            }
            do {
                for argument in launch.arguments {
                    switch argument {
                    case .int(let value):
                        guard var narrow = cl_int(exactly: value) else {
                            throw GraphError("kernel \(launch.kernel): \(value) exceeds the 32-bit index range")
                        }
                        try set(4, &narrow)
                    case .float(var value): try set(4, &value)
                    case .local(let bytes): try set(bytes, nil)
                    case .input, .output, .scratch:
                        let (buffer, offset) = try resolve(argument, index)
                        var handle: cl_mem? = buffer
                        var elements = cl_ulong(offset)
                        try set(MemoryLayout<cl_mem?>.size, &handle)
                        try set(8, &elements)
                    }
                }
            } catch {
                clReleaseKernel(kernel)
                throw error
            }
            return .kernel(
                kernel, dimensions: cl_uint(launch.global.count), global: launch.global, local: launch.local,
                name: launch.kernel, step: index)
        }
    }

    /// Buffer and element offset of a tensor argument of step `index`.
    private func resolve(_ argument: Argument, _ index: Int) throws -> (buffer: cl_mem, offset: Int) {
        let step = schedule.steps[index]
        let tensor: Tensor
        let extra: Int
        switch argument {
        case .input(let position, let offset): (tensor, extra) = (step.node.inputs[position], offset)
        case .output(let position, let offset): (tensor, extra) = (step.node.outputs[position], offset)
        case .scratch(let position, let offset):
            guard let arena else { throw GraphError("\(step.node.operation.name): no arena") }
            return (arena.handle, schedule.plan.scratchOffsets[index][position] / step.scratch[position].element.byteCount + offset)
        case .int, .float, .local: throw GraphError("\(step.node.operation.name): a scalar where a tensor is wanted")
        }
        let location = try locate(tensor)
        return (location.buffer.handle, location.byteOffset / tensor.type.element.byteCount + extra)
    }

    private func locate(_ tensor: Tensor) throws -> (buffer: Buffer, byteOffset: Int) {
        let source = schedule.plan.viewSources[tensor.id] ?? tensor.id
        if let place = schedule.places[source] {
            return (
                try memory.buffer(place.storage),
                memory.guardBytes + place.offset * place.storage.element.byteCount
            )
        }
        guard let arena, let offset = schedule.plan.offsets[source] else {
            throw GraphError("tensor \(tensor.id) \(tensor.type) is not part of the schedule; mark it as an output")
        }
        return (arena, offset)
    }

    /// Issues every launch once. Returns before the device is done.
    public func run() throws { try run(steps: schedule.steps.indices) }

    /// Issues the launches of some of the schedule's steps: for timing them.
    public func run(steps: Range<Int>) throws {
        let isProfiling = profiler != nil
        for entry in entries[firstEntries[steps.lowerBound]..<firstEntries[steps.upperBound]] {
            var event: cl_event?
            switch entry {
            case .kernel(let kernel, let dimensions, let global, let local, let name, let step):
                let status = withUnsafeMutablePointer(to: &event) { event in
                    clEnqueueNDRangeKernel(
                        device.queue, kernel, dimensions, nil, global, local, 0, nil, isProfiling ? event : nil)
                }
                try OpenCLError.check(status, "kernel \(name) (\(schedule.steps[step].node.operation.name))")
                if let event { profiler?.record(event, name: name, step: step) }
            case .library(let gemm, let name, let step):
                guard let library = device.gemm as? any LibraryGEMM else {
                    throw GraphError("\(name): scheduled for a BLAS library, but the device has none; schedule it again")
                }
                try withUnsafeMutablePointer(to: &event) { event in
                    try library.enqueue(
                        gemm, on: device, resolve: { try self.resolve($0, step) }, event: isProfiling ? event : nil)
                }
                if let event { profiler?.record(event, name: "gemm_library", step: step) }
            }
        }
        clFlush(device.queue)
    }

    /// Reads a tensor after all runs so far. The tensor must be stored or an output of the graph.
    public func read<T: BitwiseCopyable>(_ tensor: Tensor, as type: T.Type = Float.self) throws -> [T] {
        guard MemoryLayout<T>.size == tensor.type.element.byteCount else {
            throw GraphError("reading \(tensor.type) as \(T.self)")
        }
        let location = try locate(tensor)
        return try [T](unsafeUninitializedCapacity: tensor.count) { values, written in
            try device.read(
                location.buffer, at: location.byteOffset,
                into: UnsafeMutableRawBufferPointer(start: values.baseAddress, count: tensor.type.byteCount))
            written = tensor.count
        }
    }

    /// Writes an input or another stored tensor.
    public func write<T: BitwiseCopyable>(_ values: [T], to tensor: Tensor) throws {
        guard MemoryLayout<T>.size == tensor.type.element.byteCount, values.count == tensor.count else {
            throw GraphError("writing \(values.count) values of \(T.self) to \(tensor.type)")
        }
        let location = try locate(tensor)
        try values.withUnsafeBytes { try device.write($0, to: location.buffer, at: location.byteOffset) }
    }

    /// Whether anything was written outside the tensors, for a schedule with `guardBytes`. Empty when nothing was, else what.
    public func damage() throws -> [String] {
        var damaged = try memory.damagedStorages().map { "storage \($0)" }
        guard let arena, !schedule.plan.guards.isEmpty else { return damaged }
        var words = [UInt32](repeating: 0, count: arena.byteCount / 4)
        try words.withUnsafeMutableBytes { try device.read(arena, at: 0, into: $0) }
        for range in schedule.plan.guards where words[(range.lowerBound / 4)..<(range.upperBound / 4)].contains(where: { $0 != DeviceMemory.sentinel }) {
            damaged.append("arena bytes \(range)")
        }
        return damaged
    }
}
