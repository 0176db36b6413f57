import DriftData
import DriftFormats

extension DataSource.Options {
    /// What a run's settings say of drawing and holding out; the shape stays the data's.
    public init(_ configuration: Configuration) {
        self.init()
        augmentation = ImageSet.Augmentation(flip: configuration.data.flip, crop: configuration.data.crop)
        holdOut = configuration.data.holdOut
    }
}

extension DataSource {
    /// Opens the data of a run in the shape of its model; `path` where the data has moved, or to take other data of the kind.
    public static func open(_ configuration: Configuration, path: String? = nil) throws -> DataSource {
        let path = path ?? configuration.data.path
        guard !path.isEmpty || configuration.data.form == .digits else {
            throw DataError("the model does not say where its images are", at: "data", fix: "name images of their kind with --data PATH")
        }
        var options = Options(configuration)
        (options.channels, options.height, options.width) = (configuration.data.channels, configuration.data.height, configuration.data.width)
        let source = try open(path, options)
        try ClassNames.check(source.training.classNames, against: configuration.data.classNames, at: path)
        guard source.training.classCount <= configuration.data.classes else {
            throw DataError("\(source.training.classCount) classes, the model has \(configuration.data.classes)",
                            at: name(of: path),
                            fix: "name the data that the model was trained on, or set as many classes")
        }
        return source
    }
}

extension Configuration {
    /// For presets that take any number of classes: images in a step, and the fewest images of a class in it. Other presets take all classes of
    /// their data.
    private static let batches: [String: (images: Int, ofClass: Int)] = [
        "autoencoder": (16, 1), "features": (64, 1), "latent-features": (64, 1), "photos-mar": (100, 1),
        "photos-transdiff": (100, 1), "photos-drift": (160, 16),
    ]

    /// Takes about as many images in a step as the preset has, as many of each class, however many classes there are.
    public mutating func fitBatch(to index: LabelIndex) {
        guard let batch = Self.batches[preset] else { return }
        let labels = min(batch.images / batch.ofClass, max(1, index.members.count { !$0.isEmpty }))
        (run.labelsPerStep, run.samplesPerLabel) = (labels, batch.images / labels)
    }
}
