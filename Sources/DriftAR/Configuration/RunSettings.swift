import DriftGPU

/// The steps of a run: how many, what one takes, and what the run writes on its way.
public struct RunSettings: Codable, Sendable, Equatable {
    /// Weights that a run's samples and evaluations are drawn from.
    public enum Weights: String, Codable, Sendable, CaseIterable { case ema, model }

    public var steps = 1000
    public var seed: UInt64 = 0
    /// Labels in a step; 0: all classes.
    public var labelsPerStep = 0
    /// G, generated images of each label in a step.
    public var samplesPerLabel = 16
    /// Part of the labels trained as unconditional.
    public var labelDrop: Float = 0.1
    /// Parts of a step, each with labels, images and noise of its own, whose gradients are averaged before the update.
    public var accumulate = 1
    /// Computes the transformer blocks again in the backward pass instead of keeping what is inside of them.
    public var gradCheckpointing = false
    /// What the inputs of matrix products and convolutions are rounded to in training; samples may be drawn in any other precision.
    public var precision = Precision.fp32
    public var logEvery = 10
    public var sampleEvery = 200
    public var checkpointEvery = 250
    public var keepCheckpoints = 3
    /// Skipped steps in a row (their loss or gradient not finite) after which the run ends as diverged; 0: never.
    public var stopAfterSkipped = 50
    /// Steps between evaluations of samples while training; 0: none.
    public var onlineEval = 0
    /// Images of each label in such an evaluation.
    public var onlineEvalImages = 10
    public var evalWeights = Weights.ema

    public init() {}

    func validate(classes: Int) throws {
        try require(steps > 0, "steps \(steps): take 1 or more")
        try require(labelsPerStep >= 0 && labelsPerStep <= classes, "labels-per-step \(labelsPerStep): take 1 to \(classes), or 0 for all")
        try require(samplesPerLabel > 0 && samplesPerLabel <= 1_000_000, "samples-per-label \(samplesPerLabel): take 1 to 1000000")
        try require(labelDrop >= 0 && labelDrop < 1, "label-drop \(labelDrop): take 0 up to, not including, 1")
        try require(accumulate > 0 && accumulate <= 1_000_000, "accumulate \(accumulate): take 1 to 1000000")
        try require(logEvery > 0 && sampleEvery >= 0 && checkpointEvery >= 0, "log-every must be above 0, sample-every and checkpoint-every 0 (never) or more")
        try require(keepCheckpoints > 0, "keep-checkpoints \(keepCheckpoints): take 1 or more")
        try require(stopAfterSkipped >= 0, "stop-after-skipped \(stopAfterSkipped): must be 0 (never) or more")
        try require(onlineEval >= 0, "online-eval \(onlineEval): must be 0 (never) or more")
        try require(onlineEvalImages > 0 && onlineEvalImages <= 1_000_000, "online-eval-images \(onlineEvalImages): take 1 to 1000000")
    }
}
