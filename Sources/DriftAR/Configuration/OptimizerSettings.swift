/// AdamW, the moving average of the weights, and how the learning rate changes.
public struct OptimizerSettings: Codable, Sendable, Equatable {
    public enum Schedule: String, Codable, Sendable, CaseIterable { case constant, cosine, linear }

    /// At its peak.
    public var learningRate = 5e-4
    public var minimumLearningRate = 0.0
    public var warmupSteps = 50
    public var schedule = Schedule.linear
    /// Part of the steps over which `linear` falls to the minimum, at the end.
    public var decayFraction = 0.3
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var adamEpsilon = 1e-8
    public var weightDecay = 0.02
    /// Largest global gradient norm; 0 does not clip.
    public var clip = 2.0
    /// Decay of the moving average.
    public var ema = 0.995

    public init() {}

    func validate() throws {
        try require(learningRate >= 0 && learningRate.isFinite, "lr \(learningRate): must be 0 or more")
        try require(minimumLearningRate >= 0 && minimumLearningRate.isFinite, "min-lr \(minimumLearningRate): must be 0 or more")
        try require(warmupSteps >= 0, "warmup-steps \(warmupSteps): must be 0 or more")
        try require(decayFraction >= 0 && decayFraction <= 1, "decay-fraction \(decayFraction): take 0 to 1")
        try require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "betas \(beta1), \(beta2): take 0 up to, not including, 1")
        try require(adamEpsilon > 0 && adamEpsilon.isFinite, "adam-epsilon \(adamEpsilon): must be above 0")
        try require(weightDecay >= 0 && weightDecay.isFinite, "weight-decay \(weightDecay): must be 0 or more")
        try require(clip >= 0 && clip.isFinite, "clip \(clip): must be 0 (off) or more")
        try require(ema >= 0 && ema < 1, "ema \(ema): take 0 up to, not including, 1")
    }
}
