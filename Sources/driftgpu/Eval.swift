import ArgumentParser
import DriftAR
import DriftData
import DriftFormats
import DriftGPU
import DriftMPI
import DriftReport

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge a model's samples, or other images, against real images.",
        discussion: """
            Class accuracy: part of the samples whose nearest real training image has their label. Diversity: mean pairwise \
            distance within a class over that of real images. With --features, --classifier or --inception also Frechet and \
            kernel distance, precision and recall between generated and real training images in that feature space; by a \
            classifier class accuracy and Inception Score. Held-out real images, judged the same way, show what can be reached.

            --fit-classifier trains a classifier on the training images and writes it to --output. --nearest shows the images that \
            come nearest to training images beside those: copies would be seen.
            """)

    enum Features: ExpressibleByArgument, Equatable {
        case pixels, phi, classifier
        /// What `features train` wrote.
        case encoder(String)

        init(argument: String) {
            switch argument {
            case "pixels": self = .pixels
            case "phi": self = .phi
            case "classifier": self = .classifier
            default: self = .encoder(argument)
            }
        }

        var path: String? { if case .encoder(let path) = self { path } else { nil } }
    }

    @Option(help: "The model: a run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String?
    @Option(help: ArgumentHelp(
        "Judge these images instead of samples: a folder that driftgpu sample wrote, an array [N, C, H, W] or [N, H, W, C] with labels.npy beside it, or an .npz of arr_0 and arr_1 as ADM writes it.",
        valueName: "path")) var images: String?
    @Option(help: "What the numbers of arrays mean: signed [-1, 1], unit [0, 1] or byte [0, 255]. Default: signed, whole numbers byte.")
    var range: ValueRange?
    @Option(help: ArgumentHelp(
        "Real images to judge by, of any form that driftgpu train takes. Default: those that the run was trained on, else the digits.",
        valueName: "path")) var data: String?
    @Option(help: ArgumentHelp("Side of the real images, where no model and no images set it.", valueName: "n")) var size: Int?
    @Option(help: ArgumentHelp(
        "Feature space: pixels, phi (the model's own), classifier, or a run's folder of features train.", valueName: "space"))
    var features: Features?
    @Option(help: ArgumentHelp("A classifier that --fit-classifier wrote; its hidden layer becomes the feature space.", valueName: "file"))
    var classifier: String?
    @Option(help: ArgumentHelp(
        "Weights of the FID's InceptionV3 as safetensors (pytorch-fid's names); its pool3 becomes the feature space.",
        valueName: "file")) var inception: String?
    @Option(help: ArgumentHelp(
        "Compare with these statistics, an .npz with mu and sigma, instead of the training images' own.", valueName: "file"))
    var stats: String?
    @Flag(help: "Train a classifier and stop.") var fitClassifier = false
    @Option(help: ArgumentHelp("Steps of --fit-classifier.", valueName: "n")) var steps: Int = ClassifierTraining().steps
    @Flag(help: "With --fit-classifier: take mirrored images for images, too; not for letters and digits.") var flip = false
    @Option(name: [.short, .long], help: ArgumentHelp("File that --fit-classifier writes.", valueName: "file"))
    var output: String = "classifier.safetensors"
    @Option(help: ArgumentHelp("Write the figures to this file, too.", valueName: "file")) var json: String?
    @Option(help: ArgumentHelp(
        "Write a picture: the 25 images that come nearest to a training image, mirrored or not, each with that on its right.",
        valueName: "file")) var nearest: String?
    @Option(help: "Images of each label.") var perLabel: Int = 100
    @Option(help: "Strength of classifier-free guidance; 1 is none.") var cfg: Float = 1
    @Option(help: "Seed of the noise, or of --fit-classifier.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @OptionGroup(title: "Drawing in rounds") var drawing: DrawingOptions
    @OptionGroup var deviceOptions: DeviceOptions
    @OptionGroup var rankOptions: RankOptions

    func validate() throws {
        let spaces = [features != nil && features != .classifier, classifier != nil, inception != nil].count { $0 }
        if fitClassifier, images != nil || spaces > 0 || features != nil || stats != nil || json != nil || nearest != nil {
            throw ValidationError("--fit-classifier takes --data, --size or --checkpoint, and --output; it judges nothing")
        }
        if flip, !fitClassifier { throw ValidationError("--flip: it is for --fit-classifier") }
        if !fitClassifier, checkpoint == nil, images == nil {
            throw ValidationError("give a model by --checkpoint, images by --images, or --fit-classifier")
        }
        if features == .phi, checkpoint == nil { throw ValidationError("--features phi: phi is a model's; give one by --checkpoint") }
        if features == .classifier, classifier == nil {
            throw ValidationError("--features classifier: give one by --classifier; --fit-classifier trains one")
        }
        if spaces > 1 { throw ValidationError("--features, --classifier and --inception each name a feature space; give one") }
        if stats != nil, spaces == 0 {
            throw ValidationError("--stats: say by --features, --classifier or --inception what they are statistics of")
        }
        if nearest != nil, checkpoint == nil, data == nil, stats != nil {
            throw ValidationError("--nearest: --stats stands for real images; name those to compare with by --data")
        }
        if range != nil, images == nil { throw ValidationError("--range: it says what the numbers of --images mean; give those") }
        if let size, size < 1 { throw ValidationError("--size \(size): take 1 or more") }
    }

    func run() throws {
        try reporting {
            let ranks = try rankOptions.start(folder: nil)
            try ranks.together { try judge(ranks) }
        }
    }

    private func judge(_ ranks: any RankGroup) throws {
        guard perLabel > 1 else { throw ConfigurationError("per-label \(perLabel): take 2 or more") }
        var saved = try checkpoint.map { try SavedModel($0, weights: weights) }
        if var configuration = saved?.configuration {
            try drawing.apply(to: &configuration)
            saved?.configuration = configuration
        }
        if fitClassifier {
            if ranks.isFirst { try fit(saved) }
            return
        }
        let known = try classifier.map { try FittedClassifier($0) }
        let encoder = try features?.path.map { try featureEncoder($0) }
        let reference = try stats.map { FeatureReference(try FeatureStatistics(npz: $0)) }
        let given = try images.map { try SavedImages($0, range: range) }
        var notes = given?.notes ?? []
        var judged = given?.images
        var source: DataSource?
        if let saved {
            source = try DataSource.open(saved.configuration, path: data)
            if saved.configuration.data.areLatents {
                guard nearest == nil else {
                    throw ConfigurationError("--nearest: the model draws latents; sample pictures with --vae and give them to --images")
                }
                notes.append("latents are judged; for pictures sample with --vae and give them to --images")
            }
        } else if let images = judged, data != nil || reference == nil {
            // Statistics can stand for real images.
            let judges = try Judges(data ?? "", for: images)
            (source, judged, notes) = (judges.source, judges.images, notes + judges.notes)
        }
        notes += source?.notes ?? []
        let sets = try source.map { (training: try $0.training.dataset(), heldOut: try $0.heldOut.dataset()) }
        let device = try deviceOptions.open(taking: rankOptions.device(deviceOptions.device, ranks))
        let model = try saved.map { (state: try $0.load(into: DeviceMemory(device)), configuration: $0.configuration) }
        var space: (any FeatureSpace)?
        if let known {
            space = ClassifierFeatures(known, on: device)
        } else if let inception {
            space = try InceptionFeatures(inception, on: device)
        } else if let encoder {
            space = try PhiFeatures(encoder: encoder.load(into: DeviceMemory(device)), encoder.configuration, at: features?.path ?? "")
        } else if let features {
            space = features == .phi ? model.map { PhiFeatures($0.state, $0.configuration) } : PixelFeatures()
        }
        let evaluation: Evaluation
        var copies: NearestImages?
        if let sets {
            let names = sets.training.classNames
            let generated =
                try judged?.named(names, at: images ?? "")
                ?? model.map { try samples(of: $0.state, $0.configuration, classNames: names, ranks) }
            // The samples are drawn by all, and judged by the first.
            guard let generated, ranks.isFirst else { return }
            if let saved, names.count < saved.configuration.data.classes {
                notes.append("the data has \(names.count) classes, the model \(saved.configuration.data.classes): the others are not judged")
            }
            if judged != nil, let order = Judges.order(of: names) { notes.append(order) }
            evaluation = try Evaluation(
                generated: generated, training: sets.training, heldOut: sets.heldOut, space: space, reference: reference)
            if nearest != nil { copies = try NearestImages(of: generated, in: sets.training) }
        } else if let judged, let space, let reference, ranks.isFirst {
            let named = try known.map { try judged.named($0.classNames, at: images ?? "") } ?? judged
            evaluation = try Evaluation(generated: named, space: space, reference: reference)
        } else {
            return
        }
        notes += evaluation.notes
        if let given { Output.line("judged: " + given.origin) }
        Output.line(evaluation.description)
        for note in notes { Output.line("note: " + note) }
        if let nearest {
            guard let copies, !copies.pairs.isEmpty else { throw DataError("no image is finite", at: "--nearest", fix: "judge a model that draws pictures") }
            try PNG.write(copies.picture(), text: [PNG.Text("Software", "driftgpu")], to: nearest)
        }
        guard let json else { return }
        let origin = given.map { [JSON.Member("judged", .string($0.origin))] } ?? []
        try AtomicFile.write(text: evaluation.json(origin, notes: notes).text + "\n", to: json)
    }

    /// The feature encoder that `--features` names.
    private func featureEncoder(_ path: String) throws -> SavedModel {
        guard Files.exists(path) else {
            throw ConfigurationError("--features \(path): take pixels, phi, classifier, or the folder of a run of features train")
        }
        return try SavedModel(path, weights: weights)
    }

    /// Real images to train a classifier on: in the shape of the model, else in their own or the one asked for.
    private func real(_ saved: SavedModel?) throws -> DataSource {
        if let saved { return try DataSource.open(saved.configuration, path: data) }
        var options = DataSource.Options()
        (options.height, options.width) = (size, size)
        return try DataSource.open(data ?? "", options)
    }

    private func samples(
        of state: ModelState, _ configuration: Configuration, classNames: [String], _ ranks: any RankGroup
    ) throws -> Dataset {
        let labels = Array(0..<classNames.count)
        let share = DrawingShare(labels: labels, perLabel: perLabel, ranks: ranks)
        let own = try ranks.together {
            try Sampler(state.model, memory: state.memory)
                .tokens(labels: share.labels, perLabel: perLabel, images: share.images, cfg: cfg, seed: seed)
        }
        let tokens = try share.gather(own)
        return try SampleSet(tokens: tokens, labels: labels, perLabel: perLabel, configuration: configuration)
            .dataset(classNames: classNames)
    }

    private func fit(_ saved: SavedModel?) throws {
        let source = try real(saved)
        source.announce()
        var settings = ClassifierTraining()
        (settings.steps, settings.seed, settings.flip) = (steps, seed, flip)
        Output.line(try settings.fit(source, on: deviceOptions.open(), to: output).line)
    }
}

extension ValueRange: ExpressibleByArgument {}
