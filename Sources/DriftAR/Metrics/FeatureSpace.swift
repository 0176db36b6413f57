import DriftData
import DriftFormats
import DriftGPU
import DriftReport

/// What a feature space says of a set of images.
public struct ImageFeatures: Sendable {
    public let features: FeatureSet
    /// Logits [N, classes] of a classifier.
    public let logits: [Float]?

    public init(_ features: FeatureSet, logits: [Float]? = nil) {
        self.features = features
        self.logits = logits
    }
}

/// Something that turns images into the features by which sets of them are compared.
public protocol FeatureSpace {
    /// As it is named on the command line.
    var name: String { get }
    /// Whether the largest of its logits names a class of the data.
    var knowsClasses: Bool { get }
    func features(of images: Dataset) throws -> ImageFeatures
}

/// The values of the pixels themselves.
public struct PixelFeatures: FeatureSpace {
    public let name = "pixels"
    public let knowsClasses = false

    public init() {}

    public func features(of images: Dataset) throws -> ImageFeatures {
        ImageFeatures(try FeatureSet(images.images, width: images.imageSize))
    }
}

/// A model's own phi, averaged over each quarter of the picture: 4 D values. phi knows no positions, so a mean over all of
/// them would not see what lies where; all of them together would need more images than features. A feature encoder's know theirs: they are
/// averaged over the whole picture.
public struct PhiFeatures: FeatureSpace {
    public let name: String
    public let knowsClasses = false
    private let isOfQuarters: Bool
    private let state: ModelState
    private let configuration: Configuration

    /// The features of a model whose weights are in the buffer `ema`.
    public init(_ state: ModelState, _ configuration: Configuration) {
        self.state = state
        self.configuration = configuration
        (name, isOfQuarters) = ("phi", true)
    }

    /// The features of a feature encoder. Throws where it is none; `path` is what it is called.
    public init(encoder state: ModelState, _ configuration: Configuration, at path: String) throws {
        guard configuration.head.maskedAutoencoder != nil else {
            throw DataError("no feature encoder, but a model with the head \(state.model.head.kind)", at: path, fix: "train one: driftgpu features train")
        }
        (self.state, self.configuration) = (state, configuration)
        (name, isOfQuarters) = (path, false)
    }

    public func features(of images: Dataset) throws -> ImageFeatures {
        let (channels, height, width, patch) = (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch)
        guard images.shape[1...] == [channels, height, width] else {
            throw DataError(
                "the model takes images of \(channels) x \(height) x \(width), not \(images.channels) x \(images.height) x \(images.width)",
                at: name, fix: "give images of the model's size")
        }
        guard let (graph, input, output) = try Self.graph(state.model, configuration) else {
            throw ConfigurationError("features \(name): the head \(state.model.head.kind) has none; take others")
        }
        let executor = try state.memory.executor(graph)
        let parts = isOfQuarters ? Regions(quartersOf: height / patch, width / patch) : Regions(allOf: height / patch * (width / patch))
        let embed = output.shape[2]
        let size = output.shape[1] * embed
        var values: [Float] = []
        try images.forEachBatch(of: Self.batch) { block, count in
            try executor.write(block, to: input)
            try executor.run()
            let features = try executor.read(output)
            for image in 0..<count {
                values += parts.means(features[(image * size)..<((image + 1) * size)], width: embed)
            }
        }
        return ImageFeatures(try FeatureSet(values, width: parts.positions.count * embed))
    }

    private static let batch = 128

    /// The graph that makes the features [batch, R, D] of a batch of images; nil where the head has none.
    static func graph(
        _ model: Generator, _ configuration: Configuration
    ) throws -> (graph: Graph, images: Tensor, features: Tensor)? {
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: "ema")
        // The name is no other graph's: storages are shared by name.
        let images = try graph.input(
            "phi_images", [batch, configuration.data.channels, configuration.data.height, configuration.data.width])
        guard let features = try model.head.features(graph.patchify(images, patch: configuration.data.patch), scope) else { return nil }
        graph.output(features)
        return (graph, images, features)
    }
}

/// Regions of a grid of positions.
private struct Regions {
    let positions: [[Int]]

    init(allOf count: Int) { positions = [Array(0..<count)] }

    /// The quarters. Of an odd number of rows the middle one is in both halves, so that none is empty.
    init(quartersOf rows: Int, _ columns: Int) {
        func halves(_ count: Int) -> [Range<Int>] { [0..<((count + 1) / 2), (count / 2)..<count] }
        positions = halves(rows).flatMap { vertical in
            halves(columns).map { horizontal in vertical.flatMap { y in horizontal.map { y * columns + $0 } } }
        }
    }

    /// Features [R, width] -> means [regions, width].
    func means(_ features: ArraySlice<Float>, width: Int) -> [Float] {
        positions.flatMap { region in
            var sums = [Float](repeating: 0, count: width)
            for position in region {
                let start = features.startIndex + position * width
                for k in 0..<width { sums[k] += features[start + k] }
            }
            return sums.map { $0 / Float(region.count) }
        }
    }
}

/// The hidden layer of a classifier that was trained on the data.
public struct ClassifierFeatures: FeatureSpace {
    public let name = "classifier"
    public let knowsClasses = true
    private let fitted: FittedClassifier
    private let device: Device

    public init(_ fitted: FittedClassifier, on device: Device) {
        self.fitted = fitted
        self.device = device
    }

    public func features(of images: Dataset) throws -> ImageFeatures {
        guard images.classNames == fitted.classNames else {
            throw DataError(
                "it knows \(fitted.classNames.count) classes, and not those \(images.classCount) of the data", at: "classifier",
                fix: "train one on this data with driftgpu eval --fit-classifier")
        }
        let answers = try fitted.answers(to: images, on: device)
        return ImageFeatures(
            try FeatureSet(answers.features, width: fitted.classifier.shape.features), logits: answers.logits)
    }
}

extension Dataset {
    /// Hands over all images in blocks of `size`, the last filled up with zeros, and the number of real ones among them.
    func forEachBatch(of size: Int, _ body: (_ block: [Float], _ count: Int) throws -> Void) rethrows {
        for start in stride(from: 0, to: count, by: size) {
            let live = min(size, count - start)
            var block = Array(images[(start * imageSize)..<((start + live) * imageSize)])
            block += [Float](repeating: 0, count: (size - live) * imageSize)
            try body(block, live)
        }
    }
}
