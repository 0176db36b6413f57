import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct DeviceTests {
    private static let choice = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_DEVICE"] ?? "cpu"

    /// Opens a device and lends it to `body`.
    private func open<Result>(
        _ environment: [String: String] = [:], gemm: String? = nil, _ body: (Device) throws -> Result
    ) throws -> Result {
        try TestDevice.alone {
            var options = Device.Options(environment: environment)
            options.gemm = gemm
            return try body(Device(DeviceDescription.choose(Self.choice), options: options))
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

    @Test func unknownShapesAreErrors() {
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_TEAM": "tpu"]) { _ in } }
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_LANES": "5"]) { _ in } }
        #expect(throws: DeviceError.self) { try open(gemm: "other") { _ in } }
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
