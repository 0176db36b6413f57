import DriftData
import DriftFormats
import DriftGPU

/// How pictures of one's own become a model that draws such pictures: an autoencoder of them, their latents, a feature encoder of those where
/// the model is trained by one, a model. A file of it lies beside what was made, so that a command that is repeated goes on with the same.
public struct CreationPlan: Codable, Sendable, Equatable {
    /// Absolute path of the pictures.
    public var data: String
    /// Side of the pictures.
    public var size: Int
    public var channels: Int
    public var flip: Bool
    /// Preset of the model.
    public var preset: String
    public var autoencoderSteps: Int
    /// Steps of the feature encoder; nil where the model needs none.
    public var encoderSteps: Int?
    public var modelSteps: Int
    /// What follows from the data as they are.
    public private(set) var judging = Judging()

    /// How samples are judged.
    public struct Judging: Sendable, Equatable {
        public var classes = 0
        public var classifierSteps = 0
        /// Samples of each class that are judged.
        public var perLabel = 0
    }

    private enum CodingKeys: String, CodingKey { case data, size, channels, flip, preset, autoencoderSteps, encoderSteps, modelSteps }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        data = try values.decode(String.self, forKey: .data)
        (size, channels) = try (values.decode(Int.self, forKey: .size), values.decode(Int.self, forKey: .channels))
        flip = try values.decode(Bool.self, forKey: .flip)
        // A file without it is of a folder that was begun when this was the only one.
        preset = try values.decodeIfPresent(String.self, forKey: .preset) ?? "photos-mar"
        autoencoderSteps = try values.decode(Int.self, forKey: .autoencoderSteps)
        encoderSteps = try values.decodeIfPresent(Int.self, forKey: .encoderSteps)
        modelSteps = try values.decode(Int.self, forKey: .modelSteps)
    }

    /// Presets of the runs before the model's.
    public static let presets = (autoencoder: "autoencoder", encoder: "latent-features")
    /// Presets of models, the first unless one is named.
    public static let models = ["photos-transdiff", "photos-drift", "photos-mar"]

    /// The fewest steps that a time is divided into: below them nothing is learnt.
    private static let fewestSteps = 200
    /// Most samples that are judged, of all classes.
    private static let judgedLimit = 1000
    /// Of the multiply-adds that a device reaches in registers, what training reached of a CPU's: a guess for others.
    private static let reached = 0.65

    /// For the pictures of `source`, with the steps of the presets. Throws a line where they are too few, or the size or the model's preset
    /// cannot be taken.
    public init(_ source: DataSource, path: String, preset: String = models[0], size: Int, flip: Bool) throws {
        guard Self.models.contains(preset) else {
            throw ConfigurationError("preset \(preset): create takes \(Self.models.joined(separator: ", "))")
        }
        guard source.training.form == .pixels else {
            throw ConfigurationError("\(path): holds latents; create begins with pictures")
        }
        guard size > 0, size <= 1024, size.isMultiple(of: 8) else { throw ConfigurationError("size \(size): take a multiple of 8, up to 1024") }
        guard source.training.count >= 16 else {
            throw ConfigurationError("\(path): \(counted(source.training.count, "picture")) to train on; a model needs some hundreds at least")
        }
        (data, self.preset, self.size, self.flip, channels) = (path, preset, size, flip, source.training.channels)
        let classes = source.training.classCount
        // Few pictures are known by heart after few steps.
        judging = Judging(
            classes: classes, classifierSteps: min(ClassifierTraining().steps, max(Self.fewestSteps, source.training.count)),
            perLabel: max(2, (min(source.heldOut.count, Self.judgedLimit) + classes - 1) / classes))
        let model = try Configuration.preset(preset)
        (autoencoderSteps, modelSteps) = try (Configuration.preset(Self.presets.autoencoder).run.steps, model.run.steps)
        if model.loss.features == .encoder {
            guard size >= 16 else {
                throw ConfigurationError("size \(size): latents of it are a single patch, too few for the feature encoder of \(preset); take 16 or more")
            }
            encoderSteps = try Configuration.preset(Self.presets.encoder).run.steps
        }
    }

    /// The same for data as they were when `other` was made of them.
    public func judged(as other: CreationPlan) -> CreationPlan {
        var plan = self
        plan.judging = other.judging
        return plan
    }

    /// The settings of the runs, as the commands have them: autoencoder, feature encoder where there is one, model.
    func configurations(_ index: LabelIndex) throws -> [Configuration] {
        var autoencoder = try Configuration.preset(Self.presets.autoencoder)
        (autoencoder.data.channels, autoencoder.data.height, autoencoder.data.width) = (channels, size, size)
        autoencoder.run.steps = autoencoderSteps
        let factor = autoencoder.head.autoencoder?.shape(channels: channels).factor ?? 1
        func latents(_ preset: String, steps: Int) throws -> Configuration {
            var configuration = try Configuration.preset(preset)
            configuration.data.channels = autoencoder.head.autoencoder?.latentChannels ?? configuration.data.channels
            (configuration.data.height, configuration.data.width) = (size / factor, size / factor)
            configuration.run.steps = steps
            return configuration
        }
        let encoder = try encoderSteps.map { try latents(Self.presets.encoder, steps: $0) }
        let model = try latents(preset, steps: modelSteps)
        return [autoencoder, encoder, model].compactMap { $0 }.map { configuration in
            var configuration = configuration
            configuration.data.classes = index.classCount
            configuration.fitBatch(to: index)
            return configuration
        }
    }

    /// About how many seconds each of the runs takes on a device of that peak (multiply-adds in fp32, operations a second).
    public func seconds(_ index: LabelIndex, peak: Double, traits: DeviceTraits, gemm: any GEMMProvider) throws -> [Double] {
        try configurations(index).map { configuration in
            try configuration.validate()
            let schedules = try Trainer.plannedSchedules(
                configuration, form: configuration.data.areLatents ? .moments(scale: 1) : .pixels, traits: traits, gemm: gemm)
            var operations = schedules.reduce(0.0) { $0 + Double($1.traffic.flops) }
            // Of a model that hides tokens the parts that hide fewest and most are both there.
            if try configuration.makeGenerator().needs.masking != nil {
                operations -= Double(schedules[0].traffic.flops + schedules[1].traffic.flops) / 2
            }
            return operations * Double(configuration.run.steps) / (Self.reached * peak)
        }
    }

    /// The same of the classifier that judges; nil of a single class, which has none.
    public func judgingSeconds(peak: Double, traits: DeviceTraits, gemm: any GEMMProvider) throws -> Double? {
        guard judging.classes > 1 else { return nil }
        let shape = try ImageClassifier.Shape(channels: channels, height: size, width: size, classes: judging.classes)
        let step = try ClassifierStep(ImageClassifier(shape), ClassifierTraining())
        let operations = Double(try Schedule(step.graph, traits: traits, gemm: gemm).traffic.flops)
        return operations * Double(judging.classifierSteps) / (Self.reached * peak)
    }

    /// The plan whose runs take about so many hours: more or fewer steps of each.
    public func lasting(hours: Double, seconds: [Double]) throws -> CreationPlan {
        let factor = 3600 * hours / seconds.reduce(0, +)
        var plan = self
        func steps(_ steps: Int) throws -> Int {
            let scaled = Int(min(1e7, (Double(steps) * factor).rounded()))
            guard scaled >= Self.fewestSteps else {
                let least = Double(Self.fewestSteps) / Double(steps) * seconds.reduce(0, +) / 3600
                throw ConfigurationError(
                    "hours \(hours): too few for pictures of \(size) pixels on this device; take \(NumberText.short(least * 1.1)) or more, or a smaller --size")
            }
            return scaled
        }
        (plan.autoencoderSteps, plan.encoderSteps, plan.modelSteps) = try (steps(autoencoderSteps), encoderSteps.map(steps), steps(modelSteps))
        return plan
    }
}
