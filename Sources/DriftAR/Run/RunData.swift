import DriftData
import DriftFormats

extension DataSource.Options {
    /// What a run's settings say of drawing and holding out; the shape stays the data's.
    public init(_ configuration: Configuration) {
        self.init()
        augmentation = ImageSet.Augmentation(flip: configuration.flip, crop: configuration.crop)
        holdOut = configuration.holdOut
    }
}

extension DataSource {
    /// Opens the data of a run in the shape of its model; `path` where the data has moved, or to take other data of the kind.
    public static func open(_ configuration: Configuration, path: String? = nil) throws -> DataSource {
        let path = path ?? configuration.data
        guard !path.isEmpty || configuration.dataForm == .digits else {
            throw DataError("the model does not say where its images are", at: "data", fix: "name images of their kind with --data PATH")
        }
        var options = Options(configuration)
        (options.channels, options.height, options.width) = (configuration.channels, configuration.height, configuration.width)
        let source = try open(path, options)
        try ClassNames.check(source.training.classNames, against: configuration.classNames, at: path)
        guard source.training.classCount <= configuration.classes else {
            throw DataError("\(source.training.classCount) classes, the model has \(configuration.classes)",
                            at: name(of: path),
                            fix: "name the data that the model was trained on, or set as many classes")
        }
        return source
    }
}
