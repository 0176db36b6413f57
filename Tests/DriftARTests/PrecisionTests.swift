import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct PrecisionTests {
    private func metrics(_ precision: Precision) throws -> [[(String, Double)]] {
        try TestDevice.with(.gpu, precision: precision) { device in
            let trainer = try TinyRun.pixels.trainer(device)
            return try (0..<6).map { _ in
                try trainer.advance()
                return try trainer.metrics()
            }
        }
    }

    @Test(
        "training with rounded products stays near single precision, step by step",
        .enabled(if: TestDevice.shapes.contains(.gpu)))
    func trainingStaysNear() throws {
        let single = try metrics(.fp32)
        for precision in [Precision.tf32, .bf16] {
            let rounded = try metrics(precision)
            // What a product of two rounded inputs may be off by.
            let tolerance = 2 * exp2(-Double(precision.significantBits))
            #expect(zip(single, rounded).contains { $0.map(\.1) != $1.map(\.1) }, "\(precision): nothing was rounded")
            for (step, (ours, theirs)) in zip(rounded, single).enumerated() {
                #expect(ours.count == theirs.count)
                for ((name, value), (_, expected)) in zip(ours, theirs) {
                    #expect(
                        abs(value - expected) <= tolerance * abs(expected),
                        "\(precision), step \(step + 1), \(name): \(value), single precision \(expected)")
                }
            }
        }
    }

    @Test("a run on a device of another precision is refused")
    func otherDevice() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            let error = errorText {
                _ = try TinyRun.pixels.run(folder.file("run"), device, change: { $0.run.precision = .bf16 })
            }
            #expect(error?.contains("precision bf16: the device was opened for fp32") == true, "\(error ?? "no error")")
            #expect(!Files.exists(folder.file("run")))
        }
    }

    private static let emulated = ["DRIFTGPU_TEAM": "gpu", "DRIFTGPU_TENSOR": "emulate"]

    @Test("a run keeps its precision; samples have their own")
    func commandLine() throws {
        let folder = try TestFolder()
        func run(_ line: String, _ environment: [String: String]) throws -> Program.Result {
            try folder.run(line, environment: environment)
        }
        let trained = try run("train --steps 2 --precision bf16 --output run " + Program.tiny, Self.emulated)
        #expect(trained.code == 0, "\(trained.errors)")
        #expect(try RunFolder(folder.file("run")).configuration().run.precision == .bf16)
        let further = try run("train --resume --steps 3 --output run", Self.emulated)
        #expect(further.code == 0 && further.output.contains("bf16 products"), "\(further.errors)")
        // The shape of a CPU has no warps, whatever the device.
        let elsewhere = try run("train --resume --steps 4 --output run", ["DRIFTGPU_TEAM": "cpu"])
        #expect(elsewhere.code == 1 && elsewhere.errors.hasPrefix("error: --precision bf16: no tensor cores"))
        #expect(elsewhere.errors.contains("--precision fp32") && elsewhere.errors.filter { $0 == "\n" }.count == 1)
        let single = try run("train --resume --steps 4 --precision fp32 --output run", [:])
        #expect(single.code == 0 && !single.output.contains("products"), "\(single.errors)")
        let sampled = try run("sample --checkpoint run --per-label 2 --precision tf32 --output pictures", Self.emulated)
        #expect(sampled.code == 0, "\(sampled.errors)")
        #expect(try run("train --precision fp16", [:]).code == 64)
        #expect(try run("train --precision bf16", ["DRIFTGPU_TENSOR": "yes"]).errors.contains("DRIFTGPU_TENSOR=yes"))
    }

    @Test("instructions whose products are wrong are not used")
    func wrongProducts() throws {
        let folder = try TestFolder()
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/Kernels")
        let copy = URL(fileURLWithPath: folder.file("kernels"))
        try FileManager.default.copyItem(at: sources, to: copy)
        let environment = Self.emulated.merging(["DRIFTGPU_KERNELS": copy.path]) { $1 }
        let devices = try folder.run("devices", environment: environment)
        #expect(devices.output.contains("tf32 (emulated), bf16 (emulated)"), "\(devices.errors)")
        // Two rows of a fragment of A change places.
        let text = try folder.text("kernels/product/gpu_mma.cl")
        let wrong = text.replacingOccurrences(of: "vstore4(a, lane, left)", with: "vstore4(a.yxwz, lane, left)")
        #expect(wrong != text)
        try folder.write(wrong, to: "kernels/product/gpu_mma.cl")
        let mistaken = try folder.run("devices", environment: environment)
        #expect(mistaken.code == 0 && mistaken.output.contains("no tensor cores"), "\(mistaken.errors)")
        let refused = try folder.run("train --precision tf32", environment: environment)
        #expect(refused.code == 1 && refused.errors.contains("--precision tf32: no tensor cores"), "\(refused.errors)")
    }
}
