import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct TensorCoreTests {
    private func open<Result>(
        _ environment: [String: String], _ precision: Precision = .fp32, _ body: (Device) throws -> Result
    ) throws -> Result {
        try TestDevice.alone {
            var options = Device.Options(environment: environment)
            options.precision = precision
            return try body(Device(DeviceDescription.choose(TestDevice.choice), options: options))
        }
    }

    private static let emulated = ["DRIFTGPU_TEAM": "gpu", "DRIFTGPU_TENSOR": "emulate"]

    @Test(arguments: [Precision.tf32, .bf16]) func emulationPassesTheCheck(_ precision: Precision) throws {
        try open(Self.emulated, precision) { device in
            #expect(device.tensorCores(for: precision) == .emulation)
            #expect(device.tensorCores(for: .fp32) == nil)
            #expect(device.gemm.name == "tensor" && device.precision == precision)
        }
        #expect(try open(Self.emulated) { $0.gemm.name } != "tensor")
    }

    /// The numbers of the check need the rounding they ask for, and no two rows or columns of a product are the same.
    @Test(arguments: [Precision.tf32, .bf16]) func checkTellsLayoutsApart(_ precision: Precision) {
        let check = TensorCoreCheck(precision)
        let inexact = check.a.filter { precision.rounded($0) != $0 }
        #expect(inexact.count > check.a.count / 3)
        let isWhole = check.products.allSatisfy { value in value.magnitude < 0x1p24 && value == value.rounded() }
        #expect(isWhole)
        for warp in 0..<TensorCoreCheck.warps {
            let first = warp * 128
            let rows = Set((0..<16).map { row in Array(check.products[(first + row * 8)..<(first + row * 8 + 8)]) })
            let columns = Set((0..<8).map { column in (0..<16).map { check.products[first + $0 * 8 + column] } })
            #expect(rows.count == 16 && columns.count == 8)
        }
    }

    @Test func roundingIsToNearestEven() {
        // 1 + 2^-8 is half way between two bf16 values, 1 + 2^-11 between two of tf32.
        let cases: [(Precision, Float, Float)] = [
            (.bf16, 1 + 0x1p-8, 1), (.bf16, 1 + 0x1.8p-7, 1 + 0x1p-6), (.bf16, -1 - 0x1.01p-8, -1 - 0x1p-7),
            (.tf32, 1 + 0x1p-11, 1), (.tf32, 1 + 0x1.8p-10, 1 + 0x1p-9), (.fp32, 0.1, 0.1),
            (.bf16, .greatestFiniteMagnitude, .infinity), (.tf32, -.infinity, -.infinity), (.bf16, 0, 0),
        ]
        for (precision, value, expected) in cases { #expect(precision.rounded(value) == expected, "\(precision) of \(value)") }
        #expect(Precision.bf16.rounded(.nan).isNaN)
    }

    @Test func devicesWithoutAreNamed() throws {
        // What a CPU device has not, and the shape that has no warps.
        let cases = [(["DRIFTGPU_TEAM": "cpu", "DRIFTGPU_TENSOR": "emulate"], "DRIFTGPU_TEAM=gpu"), (["DRIFTGPU_TEAM": "cpu"], "no tensor cores")]
        for (environment, part) in cases {
            let error = #expect(throws: DeviceError.self) { try open(environment, .bf16) { _ in } }
            let text = try #require(error).description
            #expect(text.contains("--precision bf16") && text.contains("--precision fp32") && text.contains(part))
            #expect(!text.contains("\n"))
        }
        #expect(throws: DeviceError.self) { try open(["DRIFTGPU_TENSOR": "yes"]) { _ in } }
    }
}
