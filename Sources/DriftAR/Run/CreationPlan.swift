import DriftData
import DriftFormats
import DriftGPU

/// How pictures of one's own become a model that draws such pictures: an autoencoder of them and their latents where they are not small, a
/// feature encoder where the model is trained by one, a model. A file of it lies beside what was made, so that a command that is repeated goes
/// on with the same.
public struct CreationPlan: Codable, Sendable, Equatable {
    /// Absolute path of the pictures.
    public var data: String
    /// Side of the pictures.
    public var size: Int
    public var channels: Int
    public var flip: Bool
    /// Preset of the model.
    public var preset: String
    /// Steps of the autoencoder; nil where the model draws pixels.
    public var autoencoderSteps: Int?
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

    /// A run of training.
    public enum Run: Sendable { case autoencoder, encoder, model }

    /// The runs, in their order, and the steps of each.
    public var runs: [(run: Run, steps: Int)] {
        [(.autoencoder, autoencoderSteps), (.encoder, encoderSteps), (.model, modelSteps)].compactMap { run, steps in steps.map { (run, $0) } }
    }

    private enum CodingKeys: String, CodingKey { case data, size, channels, flip, preset, autoencoderSteps, encoderSteps, modelSteps }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        data = try values.decode(String.self, forKey: .data)
        (size, channels) = try (values.decode(Int.self, forKey: .size), values.decode(Int.self, forKey: .channels))
        flip = try values.decode(Bool.self, forKey: .flip)
        // A file without it is of a folder that was begun when this was the only one.
        preset = try values.decodeIfPresent(String.self, forKey: .preset) ?? "photos-mar"
        autoencoderSteps = try values.decodeIfPresent(Int.self, forKey: .autoencoderSteps)
        encoderSteps = try values.decodeIfPresent(Int.self, forKey: .encoderSteps)
        modelSteps = try values.decode(Int.self, forKey: .modelSteps)
    }

    /// Presets of models, unless one is named the first, or the last where pixels are drawn, which it alone wants.
    public static let models = ["photos-transdiff", "photos-drift", "photos-mar", pixelModel]
    private static let pixelModel = "mnist-drift"

    /// Gray pictures up to this side are drawn as they are. Of colour pictures of 32x32 a classifier read 16 % of what a flow drew so after 1200
    /// steps, where of MNIST it read 97 % after 2000.
    public static let pixelSide = 32
    /// The side of pictures that have none of their own.
    public static let ownSize = 64
    /// Patches of a picture whose pixels are drawn.
    private static let patches = 16...64

    /// The fewest steps that a time is divided into: below them nothing is learnt.
    private static let fewestSteps = 200
    /// Most samples that are judged, of all classes.
    private static let judgedLimit = 1000
    /// Share of a device's peak of multiply-adds that training reaches: as seen on a CPU, a guess for other devices.
    private static let reached = 0.65

    /// For the pictures of `source`, with the steps of the presets. Throws a line where they are too few, or the size or the model's preset
    /// cannot be taken.
    ///
    /// - Parameters:
    ///   - preset: the model's; nil: `mnist-drift` of pixels, `photos-transdiff` of latents.
    ///   - flip: whether mirrored pictures are pictures, too; nil: but for IDX files, which are of letters and digits more often than not.
    ///   - autoencoder: whether the model draws an autoencoder's latents; nil: but for gray pictures up to `pixelSide`.
    public init(
        _ source: DataSource, path: String, preset: String? = nil, flip: Bool? = nil, autoencoder: Bool? = nil
    ) throws {
        if let preset, !Self.models.contains(preset) {
            throw ConfigurationError("preset \(preset): create takes \(Self.models.joined(separator: ", "))")
        }
        let pictures = source.training
        guard pictures.form.arePixels else {
            throw ConfigurationError("\(path): holds latents; create begins with pictures")
        }
        guard pictures.height == pictures.width else {
            throw ConfigurationError("\(path): pictures of \(pictures.height)x\(pictures.width); create makes square ones: say their side with --size")
        }
        guard pictures.count >= 16 else {
            throw ConfigurationError("\(path): \(counted(pictures.count, "picture")) to train on; a model needs some hundreds at least")
        }
        (data, size, channels) = (path, pictures.width, pictures.channels)
        self.flip = flip ?? (source.form != .idx)
        let hasAutoencoder = autoencoder ?? (size > Self.pixelSide || channels > 1)
        self.preset = preset ?? (hasAutoencoder ? Self.models[0] : Self.pixelModel)
        guard !hasAutoencoder || self.preset != Self.pixelModel else {
            throw ConfigurationError("preset \(Self.pixelModel): draws pixels, and an autoencoder's latents are to be drawn; take photos-drift, or --no-autoencoder")
        }
        guard !hasAutoencoder || size <= 1024 && size.isMultiple(of: 8) else {
            throw ConfigurationError("size \(size): for an autoencoder take a multiple of 8, up to 1024")
        }
        guard hasAutoencoder || Self.patch(of: size) != nil else {
            throw ConfigurationError("size \(size): cannot be cut into \(Self.patches.lowerBound) to \(Self.patches.upperBound) square patches; take a multiple of 4 or 6")
        }
        let classes = pictures.classCount
        // Few pictures are known by heart after few steps.
        judging = Judging(
            classes: classes, classifierSteps: min(ClassifierTraining().steps, max(Self.fewestSteps, pictures.count)),
            perLabel: max(2, (min(source.heldOut.count, Self.judgedLimit) + classes - 1) / classes))
        let model = try Configuration.preset(self.preset)
        autoencoderSteps = hasAutoencoder ? try Configuration.preset("autoencoder").run.steps : nil
        modelSteps = model.run.steps
        if model.loss.features == .encoder {
            guard !hasAutoencoder || size >= 16 else {
                throw ConfigurationError("size \(size): latents of it are a single patch, too few for the feature encoder of \(self.preset); take 16 or more")
            }
            encoderSteps = try Configuration.preset(Self.encoderPreset(hasAutoencoder)).run.steps
        }
    }

    private static func encoderPreset(_ hasAutoencoder: Bool) -> String { hasAutoencoder ? "latent-features" : "features" }

    /// Side of the patches of pictures that are drawn as pixels; nil where latents are drawn.
    public var pixelPatch: Int? { autoencoderSteps == nil ? Self.patch(of: size) : nil }

    /// The least patch that makes no more tokens than the presets have. Nil where there is none.
    private static func patch(of size: Int) -> Int? {
        (1...size).first { size % $0 == 0 && patches.contains(size / $0 * (size / $0)) }
    }

    /// Strength of guidance that the model is drawn with unless another is asked for: on MNIST 1.5 and 2 make one pass's samples less like the
    /// pictures than 1.
    public var guidance: Float { preset == Self.pixelModel ? 1 : 2 }

    /// The same for data as they were when `other` was made of them.
    public func judged(as other: CreationPlan) -> CreationPlan {
        var plan = self
        plan.judging = other.judging
        return plan
    }

    /// The settings of a run, as its command has them.
    func configuration(of run: Run, steps: Int, _ index: LabelIndex) throws -> Configuration {
        let vae = try Configuration.preset("autoencoder")
        var configuration = switch run {
        case .autoencoder: vae
        case .encoder: try Configuration.preset(Self.encoderPreset(autoencoderSteps != nil))
        case .model: try Configuration.preset(preset)
        }
        (configuration.data.channels, configuration.data.height, configuration.data.width) = (channels, size, size)
        if run != .autoencoder, autoencoderSteps != nil, let shape = vae.head.autoencoder?.shape(channels: channels) {
            (configuration.data.height, configuration.data.width) = (size / shape.factor, size / shape.factor)
            configuration.data.channels = shape.latentChannels
        } else if run != .autoencoder, let patch = pixelPatch {
            (configuration.data.patch, configuration.encoder.patch) = (patch, patch)
        }
        configuration.run.steps = steps
        configuration.data.classes = index.classCount
        configuration.fitBatch(to: index)
        return configuration
    }

    /// About how many seconds each of the runs takes on a device of that peak (multiply-adds in fp32, operations a second).
    public func seconds(_ index: LabelIndex, peak: Double, traits: DeviceTraits, gemm: any GEMMProvider) throws -> [Run: Double] {
        let times = try runs.map { run, steps in
            let configuration = try configuration(of: run, steps: steps, index)
            try configuration.validate()
            let schedules = try Trainer.plannedSchedules(
                configuration, form: configuration.data.areLatents ? .moments(scale: 1) : .pixels, traits: traits, gemm: gemm)
            var operations = schedules.reduce(0.0) { $0 + Double($1.traffic.flops) }
            // Of a model that hides tokens the parts that hide fewest and most are both there.
            if try configuration.makeGenerator().needs.masking != nil {
                operations -= Double(schedules[0].traffic.flops + schedules[1].traffic.flops) / 2
            }
            return (run, operations * Double(steps) / (Self.reached * peak))
        }
        return Dictionary(uniqueKeysWithValues: times)
    }

    /// The same of the classifier that judges; nil of a single class, which has none.
    public func judgingSeconds(peak: Double, traits: DeviceTraits, gemm: any GEMMProvider) throws -> Double? {
        guard judging.classes > 1 else { return nil }
        let shape = try ImageClassifier.Shape(channels: channels, height: size, width: size, classes: judging.classes)
        let step = try ClassifierStep(ImageClassifier(shape), ClassifierTraining())
        let operations = Double(try Schedule(step.graph, traits: traits, gemm: gemm).traffic.flops)
        return operations * Double(judging.classifierSteps) / (Self.reached * peak)
    }

    /// The plan whose runs take about so many hours in place of so many seconds: more or fewer steps of each.
    public func lasting(hours: Double, seconds: Double) throws -> CreationPlan {
        var plan = self
        func steps(_ steps: Int) throws -> Int {
            let scaled = Int(min(1e7, (Double(steps) * 3600 * hours / seconds).rounded()))
            guard scaled >= Self.fewestSteps else {
                let least = Double(Self.fewestSteps) / Double(steps) * seconds / 3600
                throw ConfigurationError(
                    "hours \(hours): too few for pictures of \(size) pixels on this device; take \(NumberText.short(least * 1.1)) or more, or a smaller --size")
            }
            return scaled
        }
        (plan.autoencoderSteps, plan.encoderSteps, plan.modelSteps) = try (autoencoderSteps.map(steps), encoderSteps.map(steps), steps(modelSteps))
        return plan
    }
}
