import DriftAR
import DriftData
import DriftFormats
import DriftGPU

/// What all rows are judged by: real images, and a classifier that was fitted to them.
public final class RowJudge {
    let training: Dataset
    let heldOut: Dataset
    /// What tells this judge from others.
    let identity: [String]
    private let classifier: FittedClassifier
    /// The training images' features, once they have been needed.
    private var reference: FeatureReference?

    /// `path`: where the images lie; `file`: where the classifier was read from. Throws where it does not know the classes of the
    /// images or takes others.
    public init(_ source: DataSource, at path: String, classifier: FittedClassifier, file: String) throws {
        (training, heldOut) = (try source.training.dataset(), try source.heldOut.dataset())
        self.classifier = classifier
        let shape = classifier.classifier.shape
        guard classifier.classNames == training.classNames,
            [shape.channels, shape.height, shape.width] == [training.channels, training.height, training.width]
        else {
            throw DataError(
                "a classifier of other images than the rows were trained on", at: file,
                fix: "leave --classifier out, and one is fitted to them")
        }
        identity = ["classifier \(try InputFile.fingerprint(of: file))", Self.identity(of: source, at: path)]
    }

    /// What tells the real images from others.
    private static func identity(of source: DataSource, at path: String) -> String {
        let (own, held) = (source.training, source.heldOut)
        return "\(source.form.rawValue) \(path), \(own.count) and \(held.count) images of \(own.channels)x\(own.height)x\(own.width), \(counted(own.classCount, "class", "classes"))"
    }

    /// The file in `folder` in which a classifier is kept that was fitted to the images at `path` in so many steps.
    public static func classifierPath(in folder: String, for source: DataSource, at path: String, steps: Int) -> String {
        Files.join(folder, "classifier-\(FigureStore.hash([identity(of: source, at: path), "\(steps) steps"])).safetensors")
    }

    /// Figures of a row's images, `perLabel` of each class of the data, and a picture of some of them.
    func judge(
        _ row: ComparedRow, _ vae: VAEWeights?, on device: Device, perLabel: Int, seed: UInt64
    ) throws -> (quality: RowQuality, grid: [UInt8]) {
        let configuration = row.model.configuration
        let space = ClassifierFeatures(classifier, on: device)
        let real = try reference ?? FeatureReference(space.features(of: training).features)
        reference = real
        let drawing = try RowDrawing(row, vae, on: device)
        let labels = Array(0..<training.classCount)
        let tokens = try drawing.tokens(labels: labels, perLabel: perLabel, seed: seed)
        let (pixels, shape) = try drawing.rendering(tokens)
        let generated = try SampleSet(pixels: pixels, shape: shape, labels: labels, perLabel: perLabel, configuration: configuration)
            .dataset(classNames: training.classNames)
        let evaluation = try Evaluation(generated: generated, training: training, heldOut: heldOut, space: space, reference: real)
        var notes = evaluation.notes
        if training.classCount < configuration.data.classes {
            notes.append("the data has \(training.classCount) classes, the model \(configuration.data.classes): the others are not judged")
        }
        let quality = RowQuality(
            generated: ImageQuality(evaluation.columns[0]), heldOut: evaluation.columns.dropFirst().first.map(ImageQuality.init),
            tokensPerPass: drawing.sampler.decodingFigures?.tokensPerPass, notes: notes)
        return (quality, try Self.grid(pixels, shape, perLabel: perLabel))
    }

    private static let shown = (labels: 10, images: 8)

    /// Some images of some labels, a row for each label.
    private static func grid(_ pixels: [Float], _ shape: [Int], perLabel: Int) throws -> [UInt8] {
        let size = shape.dropFirst().reduce(1, *)
        let (rows, columns) = (min(shape[0] / perLabel, shown.labels), min(perLabel, shown.images))
        let chosen = (0..<rows).flatMap { label in pixels[(label * perLabel * size)..<((label * perLabel + columns) * size)] }
        return try PNG.encode(
            Picture(grid: chosen, shape: [rows * columns] + shape.dropFirst(), columns: columns, scale: max(1, 32 / shape[2])))
    }
}
