import DriftAR

/// A time of PyTorch, from what bench/compare_pytorch.py wrote.
struct TorchTiming: Sendable {
    /// What both programs do, by which their times are brought together.
    struct Work: Sendable, Hashable {
        let kind: String
        let size: String
        let precision: String
        let encodeOnce: Bool
        var isGuided = false
        var images: Int
    }

    let work: Work
    let mode: String
    let seconds: Double

    /// The timings of all stages.
    static func all(of visit: Visit) -> [TorchTiming] {
        visit.stages.flatMap { $0.result?["comparisons"]?.array ?? [] }.compactMap { entry in
            guard let kind = entry["kind"]?.string, let size = entry["size"]?.string, let precision = entry["precision"]?.string,
                let once = entry["encode_once"]?.bool, let mode = entry["mode"]?.string, let images = entry["images"]?.integer,
                let milliseconds = entry["pytorch_milliseconds"]?["median"]?.double
            else { return nil }
            return TorchTiming(
                work: Work(
                    kind: kind, size: size, precision: precision, encodeOnce: once,
                    isGuided: entry["is_guided"]?.bool ?? false, images: images),
                mode: mode, seconds: milliseconds / 1000)
        }
    }
}

/// A piece of work that driftgpu was timed at, and PyTorch's fastest way to do it where there is one.
struct TorchComparison: Sendable {
    let work: TorchTiming.Work
    let seconds: Double
    let torch: TorchTiming?

    /// Above 1, driftgpu is faster.
    var ratio: Double? { torch.map { $0.seconds / seconds } }

    /// Every training step and sampling of a visit; the speculative loop is nothing PyTorch does.
    static func all(of visit: Visit) -> [TorchComparison] {
        let fastest = Dictionary(TorchTiming.all(of: visit).map { ($0.work, $0) }) { $0.seconds < $1.seconds ? $0 : $1 }
        return visit.reports.flatMap { report in
            report.step.map { step in
                (TorchTiming.Work(
                    kind: "step", size: step.size, precision: report.precision, encodeOnce: step.encodeOnce, images: step.batch),
                    step.timing.median)
            } + report.sample.filter { $0.isSpeculative != true }.map { sample in
                (TorchTiming.Work(
                    kind: "sample", size: sample.size, precision: report.precision, encodeOnce: sample.encodeOnce,
                    isGuided: sample.isGuided, images: sample.labels * sample.perLabel),
                    sample.timing.median)
            }
        }.map { TorchComparison(work: $0, seconds: $1, torch: fastest[$0]) }
    }
}
