import DriftAR
import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftBench
@testable import DriftFormats

@Suite struct VisitTests {
    private final class Folder {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("visit \(UUID().uuidString)").path

        init(_ files: [String: String]) throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name)) }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private func timing(_ seconds: Double) -> Timing { Timing([seconds]) }

    /// Steps of base of 10 ms, 9.5 of them in kernels, sampling of 4 ms, two kernels at 60 % and 90 % of a copy.
    private func report() throws -> String {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            var report = BenchmarkReport(device)
            func entry(_ name: String, _ share: Double, _ limit: KernelBenchmark.Limit) -> KernelBenchmark.Case {
                .init(
                    name: name, perStep: 2, launches: 1, timing: timing(1e-4), warm: timing(1e-4), copy: timing(share * 1e-4),
                    multiplyAdd: timing(1e-6), bytes: 8, flops: 2, limit: limit)
            }
            report.kernels = [
                KernelBenchmark(size: "base", cases: [entry("near [2]", 0.9, .memory), entry("far [3]", 0.6, .memory), entry("small [1]", 0.1, .launch)])
            ]
            report.step = [
                StepBenchmark(
                    size: "base", encodeOnce: false, batch: 24, launches: 10, arenaBytes: 1, timing: timing(0.01), inKernels: 0.0095,
                    flops: 1, outsideKernels: 0.3, headShare: 0.5)
            ]
            return String(decoding: try report.json(), as: UTF8.self)
        }
    }

    private func torch(_ milliseconds: Double, _ mode: String, images: Int = 24) -> String {
        #"{"kind": "step", "size": "base", "encode_once": false, "is_guided": false, "images": \#(images), "mode": "\#(mode)","#
            + #" "precision": "fp32", "pytorch_milliseconds": {"median": \#(milliseconds)}}"#
    }

    private func visit() throws -> (Folder, Visit) {
        let folder = try Folder([
            "stages": """
                selftest-fp32\trunning\t-\t-\t150\t
                selftest-bf16\trunning\t-\t-\t150\t
                selftest-fp32\tpassed\t0\t31\t150\t
                selftest-bf16\tfailed\t1\t30\t150\t
                step\tpassed\t0\t5\t60\t
                pytorch\ttimeout\t124\t80\t80\t
                more\tskipped\t-\t-\t-\ttime is short
                other\tskipped\t-\t-\t-\ttime is short
                odd line
                """,
            "about": "date=now\nminutes=9\nfinished=later = then\n", "selftest-fp32.log": "all 3 cases passed in 1 s\n",
            "selftest-bf16.log": "linear  FAILED   1/3\n1 of 3 cases FAILED in 1 s\n", "step.json": try report(),
            "pytorch.json": "{\"about\": {}, \"comparisons\": [\(torch(14, "eager")), \(torch(13, "compiled")), \(torch(1, "compiled", images: 2))]}",
            "pytorch.log": "10 %\r20 %\rlast words\n\n", "other.json": "{\"device\": \"cut sho",
        ])
        return (folder, try Visit(folder: folder.path))
    }

    @Test func readsWhatTheScriptKeeps() throws {
        let (folder, visit) = try visit()
        #expect(visit.stages.map(\.name) == ["selftest-fp32", "selftest-bf16", "step", "pytorch", "more", "other"])
        #expect(visit.stages.map(\.state) == [.passed, .failed, .passed, .timeout, .skipped, .skipped])
        #expect(visit.stages[3].output == ["last words"] && visit.stages[3].code == 124 && visit.stages[3].limit == 80)
        #expect(visit.stages[5].result == nil && visit.stages[5].remark == "time is short")
        #expect(visit.isFinished && visit.about[2] == ("finished", "later = then"))
        #expect(throws: BenchmarkError.self) { try Visit(folder: folder.path + "/none") }
    }

    @Test func goalsTakeTheWorst() throws {
        let goals = VisitGoal.all(of: try visit().1)
        #expect(goals[0].value == 0.5 && goals[0].isMet == false)
        // The fastest way to run PyTorch, at the same batch.
        #expect(abs((goals[1].value ?? 0) - 1.3) < 1e-9 && goals[1].isMet == true)
        #expect(goals[2].value == nil && goals[2].isMet == nil && goals[3].value == nil)
        #expect(abs((goals[4].value ?? 0) - 0.75) < 1e-9)
        #expect(abs((goals[5].value ?? 0) - 0.05) < 1e-9 && goals[5].isMet == true)
    }

    @Test func theDocumentHoldsAllOfIt() throws {
        let visit = try visit().1
        let text = visit.json.text(breaking: 7)
        let json = try JSON.parse(Array(text.utf8), depth: 64)
        #expect(json == visit.json && text.split(separator: "\n").count > 40)
        #expect(json["is_finished"]?.bool == true && json["goals"]?.array?.count == 6)
        #expect(json["stages"]?.array?[2]["result"]?["step"]?.array?[0]["batch"]?.integer == 24)
        #expect(json["stages"]?.array?[1]["output"]?.array?.count == 2)
    }

    @Test func theSummarySaysWhatMatters() throws {
        let lines = VisitSummary(try visit().1).lines
        let text = lines.joined(separator: "\n")
        for part in [
            "2 passed, 1 failed, 1 out of time, 2 skipped", "failed, 1 of 3 cases FAILED in 1 s: selftest-bf16",
            "out of time, last words: pytorch", "skipped, time is short: more, other", "selftest fp32 all 3 cases passed", "2 bound by memory 75 %", "60 % of memory, fp32 far [3]",
            "base fp32, 24 images: every image 10.00 ms, PyTorch 13.00 ms (compiled): 1.30",
            "met    base step, fp32: PyTorch's time over ours: 1.30, at least 1.2", "MISSED self tests", "no figure base step, bf16",
        ] { #expect(text.contains(part), "\(part) is not in\n\(text)") }
        #expect(!text.contains("small [1]") && lines.count <= VisitSummary.limit)
    }

    @Test func theSummaryStaysShort() {
        let lines = (0..<100).map { "line \($0)" + String(repeating: "x", count: 300) }
        let short = VisitSummary.shortened(lines, to: 10)
        #expect(short.count == 10 && short[9].hasPrefix("... 91 more lines") && short.allSatisfy { $0.count <= 190 })
        #expect(VisitSummary.shortened(["a"], to: 1) == ["a"])
    }

    /// A visit that has hardly begun, or was ended.
    @Test(arguments: ["", "step\trunning\t-\t-\t9\t\n", "step\tpassed", "\t\t\t\t\t\n"]) func littleIsNoError(_ stages: String) throws {
        let folder = try Folder(["stages": stages])
        let visit = try Visit(folder: folder.path)
        #expect(!visit.isFinished && visit.stages.count == (stages.hasPrefix("step\trunning") ? 1 : 0))
        #expect(VisitSummary(visit).lines.contains { $0.contains("not finished") })
    }

    /// What a probe found is told, and what it failed with.
    @Test(.enabled(if: !TestDevice.isSmall)) func probesAreTold() throws {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            var probes = ProbeReport()
            var steps: [String] = []
            for kind in [ProbeReport.Kind.launch, .transfer, .binary, .fill] { probes.make(kind, on: device, bytes: 4096) { steps.append($0) } }
            #expect(probes.failures.isEmpty && steps.count == 2)
            probes.failures["allocation"] = "none left"
            let text = probes.lines.joined(separator: "\n")
            for part in ["launch      us each", "pageable", "as it is: taken, right numbers", "4096 bytes: in pieces", "allocation  FAILED: none left"] {
                #expect(text.contains(part), "\(part) is not in\n\(text)")
            }
            var report = BenchmarkReport(device)
            report.probes = probes
            let read = try JSONDecoder().decode(BenchmarkReport.self, from: report.json())
            #expect(read.probes?.lines == probes.lines)
        }
    }
}
