import TestSupport
import Testing

@testable import DriftGPU

/// Faults that a driver reports: each is an error that names what failed, and the device goes on.
@Suite(.enabled(if: !TestDevice.isSmall)) struct DriverFaultTests {
    /// Opens the device under test with the kernels of `folder`.
    private func open(_ folder: String) throws -> Device {
        try Device(DeviceDescription.choose(TestDevice.choice), options: Device.Options(environment: ["DRIFTGPU_KERNELS": folder]))
    }

    private func run(_ device: Device, _ build: (Graph, Tensor) throws -> Tensor) throws -> [Float] {
        let graph = Graph()
        let x = try graph.input("x", [3])
        let y = try build(graph, x)
        graph.output(y)
        let executor = try DeviceMemory(device).executor(graph)
        try executor.write([1, 2, 3] as [Float], to: x)
        try executor.run()
        return try executor.read(y)
    }

    @Test("a family that does not build stops those who need it, and nobody else") func build() throws {
        try TestDevice.alone {
            try FaultyKernels.with("elementwise/add.cl", { _ in
                "#include \"flat.cl\"\n__kernel void add_forward(__global undeclared *x) {}\n"
            }) { folder in
                let device = try open(folder)
                let text = #expect(throws: DeviceError.self) { try run(device) { try $0.add($1, $1) } }?.description ?? ""
                #expect(text.contains("add.cl does not build on \(device.about.name)") && text.contains("undeclared"), "\(text)")
                let (copied, scaled) = (try run(device) { try $0.copy($1) }, try run(device) { try $0.scale($1, by: 2) })
                #expect(copied == [1, 2, 3] && scaled == [2, 4, 6])
            }
        }
    }

    @Test("a kernel that is refused in the middle of a run is named, and the queue still works") func launch() throws {
        try TestDevice.alone {
            // Groups of a size that no launch has: the driver sees it when the kernel is issued.
            try FaultyKernels.with("elementwise/add.cl", {
                $0.replacingOccurrences(of: "TEAM_KERNEL void add_forward", with: "__kernel __attribute__((reqd_work_group_size(7, 1, 1))) void add_forward")
            }) { folder in
                let device = try open(folder)
                let error = #expect(throws: OpenCLError.self) {
                    try run(device) { graph, x in try graph.scale(graph.add(graph.scale(x, by: 3), x), by: 2) }
                }
                #expect(error?.description == "kernel add_forward (add): CL_INVALID_WORK_GROUP_SIZE")
                try device.finish()
                #expect(device.allocatedBytes == 0 && device.stagedBytes == 0)
                let scaled = try run(device) { try $0.scale($1, by: 2) }
                #expect(scaled == [2, 4, 6])
            }
        }
    }

    @Test("a queue that is lost is an error of the next run, read and wait") func queue() throws {
        try TestDevice.alone {
            let device = try Device(DeviceDescription.choose(TestDevice.choice), options: TestDevice.options)
            let graph = Graph()
            let y = try graph.scale(graph.input("x", [3]), by: 2)
            graph.output(y)
            let executor = try DeviceMemory(device).executor(graph)
            let driver = device.commands.driver
            device.commands.driver.flush = { _ in -36 }
            device.commands.driver.finish = { _ in -36 }
            device.commands.driver.read = { _, _, _, _, _ in -36 }
            for body in [{ try executor.run() }, { try device.finish() }, { _ = try executor.read(y) as [Float] }] as [() throws -> Void] {
                let error = #expect(throws: OpenCLError.self) { try body() }
                #expect(error?.description.hasSuffix(": CL_INVALID_COMMAND_QUEUE") == true)
            }
            device.commands.driver = driver
            try executor.run()
            let values: [Float] = try executor.read(y)
            #expect(values == [0, 0, 0])
        }
    }
}
