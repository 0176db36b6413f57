import DriftData
import DriftFormats

/// The images: where they come from, their shape, their classes, and how they are taken.
public struct DataSettings: Codable, Sendable, Equatable {
    /// Path of the data; empty: the digits that the program carries.
    public var path = ""
    public var form = DataSource.Form.digits
    public var channels = 1
    public var height = 8
    public var width = 8
    /// Side of the square of pixels that makes one token.
    public var patch = 2
    public var classes = 10
    /// What the classes are called, by label; empty where the names are the labels or are not known.
    public var classNames: [String] = []
    /// Mirrors each image that a step takes with a probability of one half.
    public var flip = false
    public var crop = ImageTransform.Crop.centre
    /// One image in so many of each class is held out where the data has no part for that; 0: none.
    public var holdOut = 5
    /// Whether all images stay on the device, or each step's are sent to it.
    public var resident = Residency.auto
    /// Factor from an autoencoder's latents to what the model is trained on; of latents alone.
    public var latentScale: Float = 0.2325

    public init() {}

    /// R, tokens of an image.
    public var tokens: Int { (height / patch) * (width / patch) }
    /// C, values of a token.
    public var tokenWidth: Int { channels * patch * patch }
    /// Whether images are latents of an autoencoder: those that `form` calls so, and whatever has other channels than pictures.
    public var areLatents: Bool { form == .latents || (channels != 1 && channels != 3) }

    /// Takes over what the data decides: form, shape and number of classes.
    public mutating func adopt(_ source: DataSource) {
        form = source.form
        (channels, height, width) = (source.training.channels, source.training.height, source.training.width)
        classes = source.training.classCount
        adoptNames(of: source)
        if case .moments(let scale) = source.training.form { latentScale = scale }
    }

    /// Takes over what the data call the classes.
    public mutating func adoptNames(of source: DataSource) {
        let names = source.training.classNames
        classNames = ClassNames.areLabels(names) ? [] : names
    }

    func validate() throws {
        try require(channels > 0 && channels <= 64, "channels \(channels): take 1 to 64")
        try require(height > 0 && width > 0 && height <= 4096 && width <= 4096, "image \(height)x\(width): take 1 to 4096")
        try require(patch > 0 && height % patch == 0 && width % patch == 0, "patch \(patch): must divide \(height)x\(width)")
        try require(classes > 0 && classes <= 1_000_000, "classes \(classes): take 1 to 1000000")
        try require(holdOut >= 0 && holdOut != 1, "hold-out \(holdOut): take 2 or more, or 0 for none")
        try require(!path.utf8.contains(0), "data: the path holds a zero byte")
        try require(latentScale > 0 && latentScale.isFinite, "latent-scale \(latentScale): must be above 0")
    }
}

/// Throws the line where the condition does not hold: how settings are checked.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ConfigurationError(message()) }
}
