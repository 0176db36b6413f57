import Foundation

/// The learning rate over time. Time has any unit (epochs in the reference, steps in the presets) as long as all of its
/// numbers share it.
public struct LearningRate: Sendable {
    public var peak: Double
    public var minimum: Double
    public var warmup: Double
    public var total: Double
    public var kind: OptimizerSettings.Schedule
    /// Part of `total` over which `linear` falls, at its end.
    public var decayFraction = 0.3

    public init(
        peak: Double, minimum: Double, warmup: Double, total: Double, kind: OptimizerSettings.Schedule,
        decayFraction: Double = 0.3
    ) {
        self.peak = peak
        self.minimum = minimum
        self.warmup = warmup
        self.total = total
        self.kind = kind
        self.decayFraction = decayFraction
    }

    /// Linear from 0 during the warm-up; then constant, half a cosine to the minimum, or constant with a linear end.
    public func callAsFunction(_ time: Double) -> Double {
        if time < warmup { return peak * time / warmup }
        switch kind {
        case .constant: return peak
        case .cosine:
            guard total > warmup else { return peak }
            return minimum + (peak - minimum) * 0.5 * (1 + cos(.pi * (time - warmup) / (total - warmup)))
        case .linear:
            let length = total * decayFraction
            guard length > 0, time > total - length else { return peak }
            return minimum + (peak - minimum) * max(0, (total - time) / length)
        }
    }
}
