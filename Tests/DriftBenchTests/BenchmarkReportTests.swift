import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftBench

@Suite struct BenchmarkReportTests {
    private func report(step: Double) throws -> BenchmarkReport {
        try TestDevice.with(.cpu16) { device in
            var report = BenchmarkReport(device)
            report.kernels = [
                KernelBenchmark(size: "digits", cases: [entry("layer_norm [2, 3]", 1), entry("only now \(step)", 1)])
            ]
            report.step = [
                StepBenchmark(
                    size: "digits", encodeOnce: true, batch: 160, launches: 1, arenaBytes: 1,
                    timing: Timing([0.99 * step, step, 1.01 * step]), inKernels: step, flops: 1, outsideKernels: 0, headShare: 0)
            ]
            return report
        }
    }

    private func entry(_ name: String, _ seconds: Double) -> KernelBenchmark.Case {
        let timing = Timing([seconds])
        return .init(
            name: name, perStep: 1, launches: 1, timing: timing, warm: timing, copy: Timing([seconds / 2]),
            multiplyAdd: Timing([seconds / 4]), bytes: 8, flops: 2, limit: .memory)
    }

    @Test func keepsWhatItRead() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let written = try report(step: 1)
        try written.json().write(to: file)
        let read = try BenchmarkReport(file: file.path)
        #expect(try read.json() == written.json())
        #expect(read.kernels[0].cases[0].bandwidthShare == 0.5 && read.kernels[0].cases[0].arithmeticShare == 0.25)
    }

    @Test func marksWhatGotSlower() throws {
        let before = try report(step: 1)
        let slower = try report(step: 1.2).compared(with: before)
        #expect(slower.map(\.name) == ["digits layer_norm [2, 3]", "digits step, labels once, batch 160"])
        #expect(slower.map(\.isRegression) == [false, true] && slower.allSatisfy { !$0.isGain })
        #expect(abs(slower[1].ratio - 1.2) < 1e-9)
        let faster = try before.compared(with: report(step: 1.2))
        #expect(faster[1].isGain && !faster[1].isRegression)
        // Within a tenth nothing is marked.
        #expect(try report(step: 1.05).compared(with: before).allSatisfy { !$0.isRegression && !$0.isGain })
    }

    @Test(arguments: ["{", "{}", "[1, 2]", ""]) func filesThatAreNoReport(_ text: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(text.utf8).write(to: file)
        let error = #expect(throws: BenchmarkError.self) { try BenchmarkReport(file: file.path) }
        #expect(error?.description.contains(file.path) == true)
        #expect(throws: BenchmarkError.self) { try BenchmarkReport(file: file.path + ".missing") }
    }
}
