import DriftAR
import DriftFormats
import DriftGPU
import Foundation

/// A visit in at most 60 lines.
public struct VisitSummary: Sendable {
    public let lines: [String]

    static let limit = 60

    public init(_ visit: Visit) {
        let reports = visit.reports
        var lines = Self.device(visit, reports) + Self.stages(visit) + Self.selftests(visit) + Self.programs(reports)
        lines += Self.peaks(reports) + Self.last("tune", of: visit, "all products of a step") + Self.comparisons(visit)
        for name in ["eval", "mnist-eval"] { lines += Self.last(name, of: visit, "accuracy") }
        // The probe of fills runs by itself.
        for probes in reports.compactMap(\.probes) { lines += probes.lines.map { Self.row("probes", $0) } }
        // Where there is too much, the least of the slow kernels are left out.
        lines += Self.kernels(reports)
        let goals = VisitGoal.all(of: visit).map(Self.goal)
        self.lines = Self.shortened(lines, to: Self.limit - goals.count) + goals
    }

    private static func row(_ head: String, _ text: String) -> String {
        head.padding(toLength: 9, withPad: " ", startingAt: 0) + text
    }

    /// The first lines; a last one that says how many are missing.
    static func shortened(_ lines: [String], to count: Int) -> [String] {
        let cut = lines.map { String($0.prefix(190)) }
        return cut.count <= count ? cut : cut.prefix(count - 1) + ["... \(cut.count - count + 1) more lines in visit.json"]
    }

    private static func device(_ visit: Visit, _ reports: [BenchmarkReport]) -> [String] {
        let about = Dictionary(visit.about.map { ($0.key, $0.value) }) { $1 }
        let device = reports.first.map { "\($0.device), driver \($0.driver)" } ?? "no device was opened"
        let how = about["dry-run"] == "yes" ? "; a dry run at toy sizes: its figures say nothing" : ""
        return [row("device", device + how)]
    }

    private static func stages(_ visit: Visit) -> [String] {
        func named(_ state: Visit.State) -> [Visit.Stage] { visit.stages.filter { $0.state == state } }
        let counts = [Visit.State.passed, .failed, .timeout, .skipped, .running].compactMap { state in
            let count = named(state).count
            return count > 0 ? "\(count) \(state == .timeout ? "out of time" : state.rawValue)" : nil
        }
        var lines = [row("stages", counts.joined(separator: ", ") + (visit.isFinished ? "" : "; not finished"))]
        // Stages that ended in one way, or were left out for one reason, are told together.
        func add(_ stages: [(head: String, name: String)]) {
            var heads: [String] = []
            for stage in stages where !heads.contains(stage.head) { heads.append(stage.head) }
            lines += heads.map { head in
                row("", head + stages.filter { $0.head == head }.map(\.name).joined(separator: ", "))
            }
        }
        func said(_ stage: Visit.Stage) -> String {
            String((stage.output.last { !$0.trimmingCharacters(in: .whitespaces).isEmpty } ?? "said nothing").prefix(130))
        }
        add(named(.failed).map { ("failed, \(said($0)): ", $0.name) })
        add((named(.timeout) + named(.running)).map { ("\($0.state == .timeout ? "out of time" : "running"), \(said($0)): ", $0.name) })
        add(named(.skipped).map { ("skipped, \($0.remark): ", $0.name) })
        return lines
    }

    private static func selftests(_ visit: Visit) -> [String] {
        let tests = visit.stages.filter { $0.name.hasPrefix("selftest") && $0.state != .skipped }
        let lines = tests.map { row("selftest", "\($0.name.dropFirst("selftest-".count)) \($0.output.last ?? $0.state.rawValue)") }
        let failures = tests.filter { $0.state == .failed }.flatMap { $0.output.filter { $0.contains("FAILED") }.prefix(4) }
        return lines + failures.map { row("", $0) }
    }

    private static func peaks(_ reports: [BenchmarkReport]) -> [String] {
        guard let peaks = reports.lazy.compactMap(\.peaks).first else { return [] }
        let text = String(
            format: "copy %.0f GB/s, multiply-add %.1f TFLOP/s, GEMM of 1024^3 %.1f TFLOP/s, launch %.1f us",
            peaks.copyBandwidth / 1e9, peaks.multiplyAdd / 1e12, peaks.gemm / 1e12, peaks.launch * 1e6)
        return [row("peaks", text)]
    }

    /// The last line of a stage that speaks of `word`.
    private static func last(_ name: String, of visit: Visit, _ word: String) -> [String] {
        guard let stage = visit.stage(name), let line = stage.output.last(where: { $0.contains(word) }) else { return [] }
        return [row(name, line)]
    }

    /// How long the programs took to build, and which kernels keep registers in memory.
    private static func programs(_ reports: [BenchmarkReport]) -> [String] {
        reports.flatMap { report -> [String] in
            guard let programs = report.programs, let slowest = programs.max(by: { $0.seconds < $1.seconds }) else { return [] }
            let seconds = programs.reduce(0) { $0 + $1.seconds }
            let time = String(format: "%.1f s, the slowest %.1f s", seconds, slowest.seconds)
            var lines = [row("programs", "\(report.precision): \(programs.count) built in \(time): \(slowest.name)")]
            let refused = programs.filter { !$0.isBuilt }
            if let first = refused.first { lines.append(row("", "\(refused.count) REFUSED: \(first.name): \(first.remark ?? "")")) }
            let kernels = programs.flatMap(\.kernels)
            let spilling = Set(kernels.filter(\.isSpilling).map(\.kernel)).sorted()
            if !kernels.isEmpty {
                let most = kernels.max { ($0.registers ?? 0) < ($1.registers ?? 0) }
                let text = spilling.isEmpty ? "none" : spilling.joined(separator: ", ")
                lines.append(row("", "most registers \(most?.registers ?? 0) (\(most?.kernel ?? "")); spilling: \(text)"))
            }
            return lines
        }
    }

    /// How the kernels stand against what the device can do, and the ten by which a step loses most.
    private static func kernels(_ reports: [BenchmarkReport]) -> [String] {
        let benchmarks = reports.flatMap { report in report.kernels.map { (precision: report.precision, benchmark: $0) } }
        func median(_ values: [Double]) -> String { values.isEmpty ? "-" : percent(Timing(values).median) }
        var lines = benchmarks.map { precision, benchmark in
            func cases(_ limit: KernelBenchmark.Limit) -> [KernelBenchmark.Case] { benchmark.cases.filter { $0.limit == limit } }
            let (memory, arithmetic) = (cases(.memory), cases(.arithmetic))
            let shares = [
                "\(memory.count) bound by memory \(median(memory.map(\.bandwidthShare)))",
                "\(arithmetic.count) by arithmetic \(median(arithmetic.map(\.arithmeticShare)))", "\(cases(.launch).count) by the launch",
            ]
            return row("kernels", "\(benchmark.size) \(precision), median shares: \(shares.joined(separator: ", "))")
        }
        func loss(_ entry: KernelBenchmark.Case) -> Double { (1 - share(entry)) * entry.warm.median * Double(entry.perStep) }
        let all = benchmarks.flatMap { precision, benchmark in
            benchmark.cases.filter { $0.limit != .launch }.map { (precision: precision, entry: $0) }
        }.sorted { loss($0.entry) > loss($1.entry) }
        lines += all.prefix(10).map { precision, entry in
            let numbers = String(format: "%8.1f us x %3d, ", entry.warm.median * 1e6, entry.perStep)
            return row("  worst", "\(numbers)\(percent(share(entry))) of \(entry.limit.rawValue), \(precision) \(entry.name)")
        }
        return lines
    }

    private static func percent(_ part: Double) -> String { String(format: "%.0f %%", 100 * part) }

    /// Of a copy of as many bytes, or of as many multiply-adds, whichever is nearer.
    private static func share(_ entry: KernelBenchmark.Case) -> Double {
        min(1, max(entry.bandwidthShare, entry.arithmeticShare))
    }

    /// A line for each model, precision and kind of work: labels encoded once, and every image.
    private static func comparisons(_ visit: Visit) -> [String] {
        var lines: [String] = []
        var seen: Set<String> = []
        let all = TorchComparison.all(of: visit).filter { !$0.work.isGuided }
        for entry in all {
            let work = entry.work
            guard seen.insert("\(work.kind) \(work.size) \(work.precision) \(work.images)").inserted else { continue }
            let parts = all.filter {
                ($0.work.kind, $0.work.size, $0.work.precision, $0.work.images) == (work.kind, work.size, work.precision, work.images)
            }
            let texts = parts.map { part in
                let name = part.work.encodeOnce ? "labels once" : "every image"
                func milliseconds(_ seconds: Double) -> String { String(format: "%.2f ms", seconds * 1e3) }
                let torch = part.torch.map {
                    ", PyTorch \(milliseconds($0.seconds)) (\($0.mode)): " + String(format: "%.2f", part.ratio ?? 0)
                } ?? ""
                return "\(name) \(milliseconds(part.seconds))\(torch)"
            }
            let head = "\(work.size) \(work.precision), \(work.images) images: "
            lines.append(row(work.kind, head + texts.joined(separator: "; ")))
        }
        return lines
    }

    private static func goal(_ goal: VisitGoal) -> String {
        let verdict = goal.isMet.map { $0 ? "met   " : "MISSED" } ?? "no figure"
        let value = goal.value.map { String(format: "%.2f", $0) } ?? "-"
        return row("goal", "\(verdict) \(goal.name): \(value), \(goal.isLowerBound ? "at least" : "at most") \(goal.bound)")
    }
}
