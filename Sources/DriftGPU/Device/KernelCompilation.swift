import COpenCL

/// What a driver compiles when a kernel is first launched: the launch with nothing in the place of its tensors.
///
/// Drivers for CPUs compile a kernel for its work-group when it first runs. A kernel in the CPU shape returns at once where a
/// tensor is null (USE_IN and USE_OUT of team.cl), so it can be launched, and with it compiled, before there is anything to
/// calculate, and by a process that has none of the tensors.
struct KernelCompilation: Codable, Hashable, Sendable {
    enum Value: Codable, Hashable, Sendable {
        case tensor
        case int(Int32)
        case float(Float)
        case local(Int)
    }

    let family: String
    let defines: [String: String]
    let kernel: String
    let values: [Value]
    let global: [Int]
    let local: [Int]

    /// Nil where a value does not fit its argument; the executor says so.
    init?(_ launch: Launch) {
        family = launch.family
        defines = launch.defines
        kernel = launch.kernel
        global = launch.global
        local = launch.local
        var values: [Value] = []
        for argument in launch.arguments {
            switch argument {
            case .int(let value):
                guard let narrow = Int32(exactly: value) else { return nil }
                values.append(.int(narrow))
            case .float(let value): values.append(.float(value.isFinite ? value : 0))
            case .local(let bytes): values.append(.local(bytes))
            case .input, .output, .scratch: values.append(.tensor)
            }
        }
        self.values = values
    }

    /// What tells compiled kernels apart: drivers may compile for the work-group, and one way for grids that 16 bits count and
    /// another for larger ones, but not for values.
    struct Key: Hashable, Sendable {
        let family: String
        let defines: [String: String]
        let kernel: String
        let local: [Int]
        let isLarge: Bool
    }

    var key: Key {
        Key(family: family, defines: defines, kernel: kernel, local: local, isLarge: global.contains { $0 >= 1 << 16 })
    }
}

extension Device {
    /// Builds the program and has the driver compile the kernel. Throws a `DeviceError` where the program does not build, an
    /// `OpenCLError` where the driver does not take the launch.
    func compile(_ compilation: KernelCompilation) throws {
        let name = compilation.kernel
        let kernel = try makeKernel(name, family: compilation.family, defines: compilation.defines)
        defer { clReleaseKernel(kernel) }
        var position: cl_uint = 0
        func set(_ size: Int, _ value: UnsafeRawPointer?) throws {
            try OpenCLError.check(clSetKernelArg(kernel, position, size, value), "argument \(position) of kernel \(name)")
            position += 1
        }
        for value in compilation.values {
            switch value {
            case .tensor:
                var nothing: cl_mem?
                try set(MemoryLayout<cl_mem?>.size, &nothing)
                var offset: cl_ulong = 0
                try set(8, &offset)
            case .int(var value): try set(4, &value)
            case .float(var value): try set(4, &value)
            case .local(let bytes): try set(bytes, nil)
            }
        }
        try OpenCLError.check(
            clEnqueueNDRangeKernel(
                queue, kernel, cl_uint(compilation.global.count), nil, compilation.global, compilation.local, 0, nil, nil),
            "kernel \(name)")
        try finish()
    }
}
