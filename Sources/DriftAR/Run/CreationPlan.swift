import DriftData
import DriftFormats
import DriftGPU

/// How pictures of one's own become a model that draws such pictures: an autoencoder of them, their latents, a model of those. A file of
/// it lies beside what was made, so that a command that is repeated goes on with the same.
public struct CreationPlan: Codable, Sendable, Equatable {
    /// Absolute path of the pictures.
    public var data: String
    /// Side of the pictures.
    public var size: Int
    public var channels: Int
    public var flip: Bool
    public var autoencoderSteps: Int
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

    private enum CodingKeys: String, CodingKey { case data, size, channels, flip, autoencoderSteps, modelSteps }

    /// Presets of the two runs.
    public static let presets = (autoencoder: "autoencoder", model: "photos-transdiff")

    /// The fewest steps that a time is divided into: below them nothing is learnt.
    private static let fewestSteps = 200
    /// Most samples that are judged, of all classes.
    private static let judgedLimit = 1000
    /// Of the multiply-adds that a device reaches in registers, what training reached of a CPU's: a guess for others.
    private static let reached = 0.65

    /// For the pictures of `source`, with the steps of the presets. Throws a line where they are too few or the size cannot be taken.
    public init(_ source: DataSource, path: String, size: Int, flip: Bool) throws {
        guard source.training.form == .pixels else {
            throw ConfigurationError("\(path): holds latents; create begins with pictures")
        }
        guard size > 0, size <= 1024, size.isMultiple(of: 8) else { throw ConfigurationError("size \(size): take a multiple of 8, up to 1024") }
        guard source.training.count >= 16 else {
            throw ConfigurationError("\(path): \(counted(source.training.count, "picture")) to train on; a model needs some hundreds at least")
        }
        (data, self.size, self.flip, channels) = (path, size, flip, source.training.channels)
        let classes = source.training.classCount
        // Few pictures are known by heart after few steps.
        judging = Judging(
            classes: classes, classifierSteps: min(ClassifierTraining().steps, max(Self.fewestSteps, source.training.count)),
            perLabel: max(2, (min(source.heldOut.count, Self.judgedLimit) + classes - 1) / classes))
        (autoencoderSteps, modelSteps) = try (
            Configuration.preset(Self.presets.autoencoder).run.steps, Configuration.preset(Self.presets.model).run.steps
        )
    }

    /// The same for data as they were when `other` was made of them.
    public func judged(as other: CreationPlan) -> CreationPlan {
        var plan = self
        plan.judging = other.judging
        return plan
    }

    /// The settings of both runs, as the commands have them.
    func configurations(_ index: LabelIndex) throws -> [Configuration] {
        var autoencoder = try Configuration.preset(Self.presets.autoencoder)
        (autoencoder.data.channels, autoencoder.data.height, autoencoder.data.width) = (channels, size, size)
        autoencoder.run.steps = autoencoderSteps
        var model = try Configuration.preset(Self.presets.model)
        let factor = autoencoder.head.autoencoder?.shape(channels: channels).factor ?? 1
        model.data.channels = autoencoder.head.autoencoder?.latentChannels ?? model.data.channels
        (model.data.height, model.data.width) = (size / factor, size / factor)
        model.run.steps = modelSteps
        return [autoencoder, model].map { configuration in
            var configuration = configuration
            configuration.data.classes = index.classCount
            configuration.fitBatch(to: index)
            return configuration
        }
    }

    /// About how many seconds the runs of autoencoder and model take on a device of that peak (multiply-adds in fp32, operations a second).
    public func seconds(_ index: LabelIndex, peak: Double, traits: DeviceTraits, gemm: any GEMMProvider) throws -> [Double] {
        try configurations(index).map { configuration in
            try configuration.validate()
            let isModel = configuration.data.areLatents
            let schedules = try Trainer.plannedSchedules(
                configuration, form: isModel ? .moments(scale: 1) : .pixels, traits: traits, gemm: gemm)
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

    /// The plan whose runs take about so many hours: more or fewer steps of both.
    public func lasting(hours: Double, seconds: [Double]) throws -> CreationPlan {
        let factor = 3600 * hours / seconds.reduce(0, +)
        var plan = self
        for path in [\CreationPlan.autoencoderSteps, \.modelSteps] {
            plan[keyPath: path] = Int(min(1e7, (Double(self[keyPath: path]) * factor).rounded()))
            guard plan[keyPath: path] >= Self.fewestSteps else {
                let least = Double(Self.fewestSteps) / Double(self[keyPath: path]) * seconds.reduce(0, +) / 3600
                throw ConfigurationError(
                    "hours \(hours): too few for pictures of \(size) pixels on this device; take \(NumberText.short(least * 1.1)) or more, or a smaller --size")
            }
        }
        return plan
    }
}
