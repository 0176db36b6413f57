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
///
/// Outputs lie in the memory's workspace. They can be read until the next run of any executor on the same memory.
public final class Executor {
    public let schedule: Schedule
    public let memory: DeviceMemory
    private let device: Device
    /// The memory's, or one of its own where the schedule has guards, which nobody else may write to.
    private let workspace: Workspace
    /// Number of the last run or write in the workspace, 0 before the first.
    private var generation = 0
    private var bound = Binding()
    private var entries: [Entry] = []
    /// Where the entries of each step begin, and after the last of them.
    private var firstEntries = [0]

    private enum Entry {
        case kernel(Kernel)
        case library(GEMM, name: String, step: Int)
    }

    private struct Kernel {
        let handle: cl_kernel
        let launch: Launch
        let step: Int
        /// The arguments that are buffers, by position.
        var buffers: [(position: cl_uint, argument: Argument)] = []
    }

    /// Which buffers the kernels' arguments are.
    private struct Binding: Equatable {
        var workspace = -1
        var storages = -1
    }

    private var isInWorkspace: Bool { schedule.plan.arenaBytes > 0 }

    /// Allocates missing storages and what the workspace lacks, writes constants, builds programs. Throws what the device
    /// says, naming the kernel or buffer.
    public init(_ schedule: Schedule, memory: DeviceMemory) throws {
        self.schedule = schedule
        self.memory = memory
        device = memory.device
        workspace =
            schedule.plan.guards.isEmpty ? memory.workspace : Workspace(memory.device, fill: DeviceMemory.sentinel)
        try workspace.reserve(schedule.plan.arenaBytes)
        Logger(label: "driftgpu.executor").debug("binding \(schedule.summary)")
        for storage in schedule.storages.values.sorted(by: { $0.name < $1.name }) {
            let isNew = !memory.contains(storage)
            _ = try memory.buffer(storage)
            guard isNew, let bytes = schedule.constants[storage.name] else { continue }
            try bytes.withUnsafeBytes { try device.write($0, to: memory.buffer(storage), at: memory.guardBytes) }
        }
        try ProgramBuild(device).run(
            schedule.steps.flatMap(\.commands).compactMap { if case .kernel(let launch) = $0 { launch } else { nil } })
        for (index, step) in schedule.steps.enumerated() {
            for command in step.commands {
                switch command {
                case .library(let gemm): entries.append(.library(gemm, name: step.node.operation.name, step: index))
                case .kernel(let launch): entries.append(.kernel(try kernel(launch, step: index)))
                }
            }
            firstEntries.append(entries.count)
        }
        device.keepPrograms()
        try bind()
    }

    deinit {
        device.commands.drain()
        for case .kernel(let kernel) in entries { clReleaseKernel(kernel.handle) }
    }

    /// A kernel with every argument set but the buffers; the offsets into them are set, too.
    private func kernel(_ launch: Launch, step: Int) throws -> Kernel {
        var kernel = Kernel(
            handle: try device.makeKernel(launch.kernel, family: launch.family, defines: launch.defines), launch: launch,
            step: step)
        var position: cl_uint = 0
        func set(_ size: Int, _ value: UnsafeRawPointer?) throws {
            try OpenCLError.check(
                clSetKernelArg(kernel.handle, position, size, value), "argument \(position) of kernel \(launch.kernel)")
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
                    kernel.buffers.append((position, argument))
                    position += 1
                    var elements = cl_ulong(try resolve(argument, step).offset)
                    try set(8, &elements)
                }
            }
        } catch {
            clReleaseKernel(kernel.handle)
            throw error
        }
        return kernel
    }

    /// Sets the kernels' buffers where one of them was replaced since they were set.
    private func bind() throws {
        let current = Binding(workspace: workspace.replacements, storages: memory.replacements)
        guard bound != current else { return }
        for case .kernel(let kernel) in entries {
            for (position, argument) in kernel.buffers {
                var handle: cl_mem? = try resolve(argument, kernel.step).buffer
                try OpenCLError.check(
                    clSetKernelArg(kernel.handle, position, MemoryLayout<cl_mem?>.size, &handle),
                    "argument \(position) of kernel \(kernel.launch.kernel)")
            }
        }
        bound = current
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
            guard let arena = workspace.buffer else { throw GraphError("\(step.node.operation.name): no arena") }
            return (arena.handle, schedule.plan.scratchOffsets[index][position] / step.scratch[position].element.byteCount + offset)
        case .int, .float, .local: throw GraphError("\(step.node.operation.name): a scalar where a tensor is wanted")
        }
        let location = try locate(tensor)
        let inWhole = schedule.plan.partOffsets[tensor.id] ?? 0
        return (location.buffer.handle, location.byteOffset / tensor.type.element.byteCount + inWhole + extra)
    }

    private func locate(_ tensor: Tensor) throws -> (buffer: Buffer, byteOffset: Int) {
        try schedule.graph.check([tensor], "schedule")
        let source = schedule.plan.viewSources[tensor.id] ?? tensor.id
        if let place = schedule.places[source] {
            return (
                try memory.buffer(place.storage),
                memory.guardBytes + place.offset * place.storage.element.byteCount
            )
        }
        guard let arena = workspace.buffer, let offset = schedule.plan.offsets[source] else {
            throw GraphError("tensor \(tensor.id) \(tensor.type) is not part of the schedule; mark it as an output")
        }
        return (arena, offset)
    }

    /// Issues every launch once. Returns before the device is done.
    public func run() throws { try run(steps: schedule.steps.indices) }

    /// Issues the launches of some of the schedule's steps: for timing them.
    public func run(steps: Range<Int>) throws {
        if isInWorkspace {
            try workspace.reserve(schedule.plan.arenaBytes)
            generation = workspace.begin()
        }
        try bind()
        let profiler = memory.profiler
        let isProfiling = profiler != nil
        for entry in entries[firstEntries[steps.lowerBound]..<firstEntries[steps.upperBound]] {
            var event: cl_event?
            switch entry {
            case .kernel(let kernel):
                let launch = kernel.launch
                let status = withUnsafeMutablePointer(to: &event) { event in
                    clEnqueueNDRangeKernel(
                        device.queue, kernel.handle, cl_uint(launch.global.count), nil, launch.global, launch.local, 0, nil,
                        isProfiling ? event : nil)
                }
                try OpenCLError.check(
                    status, "kernel \(launch.kernel) (\(schedule.steps[kernel.step].node.operation.name))")
                if let event {
                    try profiler?.record(
                        event, name: launch.kernel, of: schedule.steps[kernel.step].node, launch.traffic, step: kernel.step)
                }
            case .library(let gemm, let name, let step):
                guard let library = device.gemm as? any LibraryGEMM else {
                    throw GraphError("\(name): scheduled for a BLAS library, but the device has none; schedule it again")
                }
                try withUnsafeMutablePointer(to: &event) { event in
                    try library.enqueue(
                        gemm, on: device, resolve: { try self.resolve($0, step) }, event: isProfiling ? event : nil)
                }
                if let event {
                    try profiler?.record(event, name: "gemm_library", of: schedule.steps[step].node, gemm.traffic, step: step)
                }
            }
        }
        try device.commands.flush()
    }

    /// Reads a tensor after all runs so far. The tensor must be stored or an output of the graph; an output is there until
    /// another graph runs on the same memory, and reading it later throws.
    public func read<T: BitwiseCopyable>(_ tensor: Tensor, as type: T.Type = Float.self) throws -> [T] {
        guard MemoryLayout<T>.size == tensor.type.element.byteCount else {
            throw GraphError("reading \(tensor.type) as \(T.self)")
        }
        let location = try locate(tensor)
        guard location.buffer !== workspace.buffer || generation == workspace.generation else {
            throw GraphError(
                generation == 0
                    ? "tensor \(tensor.id) \(tensor.type): its graph has not run yet"
                    : "tensor \(tensor.id) \(tensor.type): another graph has run on the same memory since; read outputs before that")
        }
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
        if location.buffer === workspace.buffer, generation != workspace.generation { generation = workspace.begin() }
        try values.withUnsafeBytes { try device.write($0, to: location.buffer, at: location.byteOffset) }
    }

    /// Whether anything was written outside the tensors, for a schedule with `guardBytes`. Empty when nothing was, else what.
    public func damage() throws -> [String] {
        var damaged = try memory.damagedStorages().map { "storage \($0)" }
        guard let arena = workspace.buffer, !schedule.plan.guards.isEmpty else { return damaged }
        var words = [UInt32](repeating: 0, count: arena.byteCount / 4)
        try words.withUnsafeMutableBytes { try device.read(arena, at: 0, into: $0) }
        for range in schedule.plan.guards where words[(range.lowerBound / 4)..<(range.upperBound / 4)].contains(where: { $0 != DeviceMemory.sentinel }) {
            damaged.append("arena bytes \(range)")
        }
        return damaged
    }
}

extension DeviceMemory {
    /// `graph` scheduled for this memory's device and bound to it. Throws what `Schedule` and `Executor` throw.
    public func executor(_ graph: Graph, options: Schedule.Options = Schedule.Options()) throws -> Executor {
        try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm, options: options), memory: self)
    }
}
