import CCLBlast
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct DeviceTests {
    /// Opens a device and lends it to `body`.
    private func open<Result>(
        _ environment: [String: String] = [:], gemm: String? = nil, _ body: (Device) throws -> Result
    ) throws -> Result {
        try TestDevice.alone {
            var options = Device.Options(environment: environment)
            options.gemm = gemm
            return try body(Device(DeviceDescription.choose(TestDevice.choice), options: options))
        }
    }

    @Test(arguments: ["97", "-1", "no such device"]) func unknownDevicesAreNamed(_ choice: String) throws {
        let error = #expect(throws: DeviceError.self) { try DeviceDescription.choose(choice) }
        let text = try #require(error).description
        #expect(text.contains("--device \(choice)"))
        for device in try DeviceDescription.all() { #expect(text.contains(device.name)) }
    }

    @Test func devicesAreChosenByIndexAndName() throws {
        for device in try DeviceDescription.all() where device.isAvailable {
            #expect(try DeviceDescription.choose("\(device.index)").name == device.name)
            #expect(try DeviceDescription.choose(device.name.uppercased()).name == device.name)
            #expect(device.computeUnits > 0 && device.maxWorkGroupSize > 0)
        }
    }

    @Test func teamShapes() throws {
        let cpu = try open(["DRIFTGPU_TEAM": "cpu", "DRIFTGPU_LANES": "8"]) { $0.traits }
        #expect(!cpu.isGPUShape && cpu.teamSize == 1 && cpu.lanes == 8)
        let gpu = try open(["DRIFTGPU_TEAM": "gpu", "DRIFTGPU_LANES": "16"]) { $0.traits }
        #expect(gpu.isGPUShape && gpu.lanes == 4)
        #expect(gpu.teamSize > 1 && gpu.teamSize & (gpu.teamSize - 1) == 0)
    }

    @Test func errorsOfCLBlastHaveTheirNames() {
        #expect(OpenCLError.name(of: Int32(CLBlastInvalidLocalMemUsage.rawValue)) == "CLBlastInvalidLocalMemUsage")
        #expect(OpenCLError.name(of: Int32(CLBlastInsufficientMemoryTemp.rawValue)) == "CLBlastInsufficientMemoryTemp")
        #expect(OpenCLError.name(of: Int32(CLBlastDatabaseError.rawValue)) == "CLBlastDatabaseError")
    }

    @Test func unknownShapesAreErrors() {
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_TEAM": "tpu"]) { _ in } }
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_LANES": "5"]) { _ in } }
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_LANES": "eight"]) { _ in } }
        #expect(throws: DeviceError.self) { try open(gemm: "other") { _ in } }
    }

    /// Devices that need not be there: small work-groups take the CPU shape, and no half of the GPU shape.
    @Test(arguments: [(1, false), (8, false), (64, false), (128, false), (255, false), (256, true), (1024, true)])
    func smallWorkGroupsTakeTheCPUShape(_ size: Int, _ takesGPUShape: Bool) throws {
        func traits(isCPU: Bool = false, team: String? = nil) throws -> DeviceTraits {
            try DeviceTraits(
                isCPU: isCPU, name: "a device", vectorWidth: 1, maxWorkGroupSize: size, computeUnits: 4,
                localMemory: 32 << 10, team: team, lanes: nil)
        }
        let automatic = try traits()
        #expect(automatic.isGPUShape == takesGPUShape && automatic.maxWorkGroupSize == size)
        #expect(automatic.teamSize == (takesGPUShape ? 64 : 1) && automatic.lanes == 4)
        #expect(try !traits(isCPU: true).isGPUShape)
        if takesGPUShape {
            #expect(try traits(isCPU: true, team: "gpu").isGPUShape)
        } else {
            let text = #expect(throws: DeviceError.self) { try traits(team: "gpu") }?.description ?? ""
            #expect(text.contains("work-groups of \(size) items") && text.contains("256") && !text.contains("\n"), "\(text)")
        }
    }

    /// The order in which devices are taken when none is named.
    @Test func strongestComesFirst() {
        func device(
            _ index: Int, _ kind: DeviceDescription.Kind, units: Int, clock: Int = 1000, shares: Bool = false
        ) -> DeviceStrength {
            DeviceStrength(kind: kind, sharesHostMemory: shares, computeUnits: units, clockRate: clock, index: index)
        }
        func order(_ devices: [DeviceStrength]) -> [Int] { devices.sorted { $0 > $1 }.map(\.index) }
        // A discrete card of 80 units before an integrated GPU of 96 before a CPU of 128.
        #expect(
            order([
                device(0, .cpu, units: 128, clock: 4000, shares: true), device(1, .gpu, units: 96, clock: 1300, shares: true),
                device(2, .gpu, units: 80, clock: 1400),
            ]) == [2, 1, 0])
        // The clock counts, and decides among equal units.
        #expect(order([device(0, .gpu, units: 60, clock: 1000), device(1, .gpu, units: 40, clock: 2000)]) == [1, 0])
        #expect(order([device(0, .gpu, units: 80, clock: 1000), device(1, .gpu, units: 80, clock: 1001)]) == [1, 0])
        // Equals in the order of the drivers; those who do not say their clock by their units.
        #expect(order([device(0, .gpu, units: 8), device(1, .gpu, units: 8), device(2, .gpu, units: 8)]) == [0, 1, 2])
        #expect(order([device(0, .gpu, units: 8, clock: 0), device(1, .gpu, units: 9, clock: 0)]) == [1, 0])
        #expect(order([device(0, .other, units: 1), device(1, .cpu, units: 64), device(2, .accelerator, units: 2)]) == [2, 0, 1])
        #expect(order([device(0, .gpu, units: .max, clock: .max), device(1, .gpu, units: 2)]) == [0, 1])
    }

    /// kernels.cl, all families in one program, is built too: no two of them may clash.
    @Test(arguments: TestDevice.shapes) func allFamiliesMakeOneProgram(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let traits = device.traits
            let options = "-cl-std=CL1.2 -DTEAM_SIZE=\(traits.teamSize) -DLANES=\(traits.lanes)"
                + (traits.isGPUShape ? " -DTEAM_GPU=1" : "")
            let source = try KernelSource().expanded("kernels.cl")
            #expect(device.probe(source, options: options))
        }
    }

    @Test func gemmIsChosen() throws {
        #expect(try open(gemm: "native") { $0.gemm.name } == "native")
        #expect(try open(gemm: "clblast") { $0.gemm.name } == "clblast")
    }

    @Test func probesTellWhatBuilds() throws {
        // An interpreter's compiler may end the process over a program that is wrong on purpose.
        if TestDevice.isSmall { return }
        try open { device in
            #expect(device.probe("__kernel void probe(__global float *x) { x[0] = 1; }"))
            #expect(!device.probe("__kernel void probe(__global float *x) { x[0] = undeclared; }"))
        }
    }

    @Test func buffersTooLargeAreNamed() throws {
        try open { device in
            let error = #expect(throws: DeviceError.self) { try Buffer(device, name: "arena", byteCount: 1 << 50) }
            #expect(error.map { $0.description.contains("arena") && $0.description.contains("\(1 << 50)") } == true)
            #expect(device.allocatedBytes == 0)
        }
    }

    @Test func errorsAreNamed() {
        #expect(OpenCLError(code: -5, subject: "kernel add").description == "kernel add: CL_OUT_OF_RESOURCES")
        #expect(OpenCLError.name(of: -77_777).contains("-77777"))
    }
}
