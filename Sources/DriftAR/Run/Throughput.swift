import DriftFormats

/// How fast a run trains, and what share that is of the device's peak.
///
/// All that passes between two observations counts: waiting for data, samples, checkpoints. The first one of a
/// run only starts the clock, so compiling the kernels does not count.
struct Throughput {
    /// Multiply-adds in registers, two operations each, per second: as measured, or as seen since. A device that others used while it
    /// was measured may do more than it did then.
    private var peak: Double
    private let clock: () -> Double
    private struct Mark {
        let time: Double
        let images: Int
        let flops: Double
    }
    private var first: Mark?
    private var last: Mark?
    /// Between the last two observations: the operations a second over the peak.
    private(set) var share: Double?

    /// `clock`: seconds of a clock that never goes back.
    init(peak: Double, clock: (() -> Double)? = nil) {
        self.peak = peak
        let begin = ContinuousClock.now
        self.clock = clock ?? { (ContinuousClock.now - begin) / .seconds(1) }
    }

    /// The images a second and the share since the last observation; nothing at the first. `images` and `flops` are of all steps so
    /// far, which are done.
    mutating func observe(images: Int, flops: Double) -> [(String, Double)] {
        let now = Mark(time: clock(), images: images, flops: flops)
        defer { last = now }
        guard let last else {
            first = now
            return []
        }
        guard let rates = Self.rates(from: last, to: now) else { return [] }
        peak = max(peak, rates.flops)
        share = rates.flops / peak
        return [("images_per_second", rates.images), ("peak_share", rates.flops / peak)]
    }

    /// The whole run in a line; nil before there is anything to say.
    var summary: String? {
        guard let first, let last, let rates = Self.rates(from: first, to: last) else { return nil }
        let (reached, most) = (NumberText.short(rates.flops / 1e9), NumberText.short(peak / 1e9))
        return "\(NumberText.short(rates.images)) images/s, \(reached) GFLOP/s: \(NumberText.percent(rates.flops / peak)) % of the \(most) GFLOP/s of the device's multiply-adds"
    }

    private static func rates(from: Mark, to: Mark) -> (images: Double, flops: Double)? {
        let elapsed = to.time - from.time
        guard elapsed > 0, to.images > from.images else { return nil }
        return (Double(to.images - from.images) / elapsed, (to.flops - from.flops) / elapsed)
    }
}
