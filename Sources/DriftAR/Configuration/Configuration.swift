import DriftFormats

/// Everything that defines a training run, in groups: images, network, stage, head, loss, encoder, optimiser, run. Written to config.json
/// of a run, read with `--config`, and carried by checkpoints. Names in JSON are the property names.
public struct Configuration: Codable, Sendable, Equatable {
    /// Which settings there are; written with them. See `ConfigurationJSON.swift`.
    public internal(set) var version = Self.currentVersion
    public var preset = "digits"
    public var data = DataSettings()
    public var network = NetworkSettings()
    public var stage = StageSettings(LabelStageSettings())
    public var head = HeadSettings(DecoderHeadSettings())
    public var loss = LossSettings()
    public var encoder = EncoderSettings()
    public var optimizer = OptimizerSettings()
    public var run = RunSettings()

    public init() {}

    // MARK: Derived

    public var labelsInStep: Int { run.labelsPerStep == 0 ? data.classes : run.labelsPerStep }
    /// Generated images in a step, or in a part of one where gradients are accumulated.
    public var batch: Int { labelsInStep * run.samplesPerLabel }
    /// Generated images whose gradients make one update.
    public var effectiveBatch: Int { batch * run.accumulate }

    /// Throws a one-line error that names the first setting out of range.
    public func validate() throws {
        try data.validate()
        try network.validate()
        try loss.validate()
        if loss.features == .encoder { try encoder.validate(data) }
        try optimizer.validate()
        try run.validate(classes: data.classes)
        try Generator.requirePair(stage.kind, head.kind)
        try stage.own.validate(self)
        try head.own.validate(self)
        try validateSizes()
    }
}
