import DriftData
import DriftFormats
import DriftGPU

/// A trained classifier: weights, names of the classes, and how good it is on images it has not seen.
public struct FittedClassifier: Sendable {
    public let classifier: ImageClassifier
    public let classNames: [String]
    /// Part of the held-out images that it classified correctly after its training.
    public let accuracy: Double
    /// What features are multiplied by, so that those of the training images have a mean square of 1: the kernel of the kernel
    /// distance has no unit of its own.
    let scale: Float
    /// All parameters, flat as its layout says.
    let parameters: [Float]

    init(_ classifier: ImageClassifier, classNames: [String], accuracy: Double, scale: Float, parameters: [Float]) {
        self.classifier = classifier
        self.classNames = classNames
        self.accuracy = accuracy
        self.scale = scale
        self.parameters = parameters
    }

    // MARK: Files

    /// Key under which a file of weights carries sizes, class names and accuracy.
    private static let key = "driftgpu.classifier"

    /// Writes a safetensors file.
    public func write(to path: String) throws {
        let shape = classifier.shape
        let header = JSON.object([
            .init("accuracy", .number(accuracy)), .init("channels", .integer(shape.channels)),
            .init("classes", .array(classNames.map { .string($0) })), .init("depth", .integer(shape.depth)),
            .init("embed", .integer(shape.embed)), .init("features", .integer(shape.features)), .init("format", .integer(1)),
            .init("heads", .integer(shape.heads)), .init("height", .integer(shape.height)),
            .init("levels", .integer(shape.levels)), .init("patch", .integer(shape.patch)),
            .init("scale", .number(Double(scale))), .init("width", .integer(shape.width)),
        ])
        try SafeTensors.write(
            classifier.layout.tensors(parameters), metadata: ["format": "pt", Self.key: header.text], to: path)
    }

    /// What a file says of its classifier.
    private struct Header {
        let channels, height, width, patch, levels, embed, heads, depth, features: Int
        let classes: [String]
        let accuracy: Double
        let scale: Float

        /// Nil where something is missing or of another kind.
        init?(_ json: JSON) {
            func size(_ key: String) -> Int? { json[key]?.integer }
            guard let channels = size("channels"), let height = size("height"), let width = size("width"), let patch = size("patch"),
                let embed = size("embed"), let heads = size("heads"), let depth = size("depth"), let features = size("features"),
                let names = json["classes"]?.array, let accuracy = json["accuracy"]?.double, let scale = json["scale"]?.double
            else { return nil }
            classes = names.compactMap(\.string)
            guard classes.count == names.count else { return nil }
            (self.channels, self.height, self.width, self.patch) = (channels, height, width, patch)
            (self.embed, self.heads, self.depth, self.features) = (embed, heads, depth, features)
            levels = size("levels") ?? 0
            (self.accuracy, self.scale) = (accuracy, Float(scale))
        }
    }

    /// Reads what `write` wrote.
    public init(_ path: String) throws {
        let file = try SafeTensorsFile(path)
        let remedy = "train one with driftgpu eval --fit-classifier"
        guard let text = file.metadata[Self.key] else { throw DataError("no classifier of driftgpu", at: path, fix: remedy) }
        let json: JSON
        do {
            json = try JSON.parse(Array(text.utf8))
        } catch {
            throw DataError("its description is no JSON (\(error))", at: path, fix: remedy)
        }
        guard let header = Header(json), let format = json["format"]?.integer else {
            throw DataError("its description lacks what a classifier needs", at: path, fix: remedy)
        }
        guard format == 1 else { throw DataError("format \(format), 1 is read", at: path, fix: remedy) }
        let sizes = [
            header.channels, header.height, header.width, header.patch, header.embed, header.heads, header.depth,
            header.features, header.classes.count,
        ]
        // Generous, and small enough that no product of them overflows.
        let suits =
            header.levels > 0
            ? header.patch <= 8 && header.embed.isMultiple(of: 8)
            : header.height.isMultiple(of: header.patch) && header.width.isMultiple(of: header.patch)
        guard sizes.allSatisfy({ (1...65_536).contains($0) }), (0...8).contains(header.levels), suits,
            header.embed.isMultiple(of: header.heads), header.depth <= 64, (0...1).contains(header.accuracy), header.scale > 0, header.scale.isFinite
        else { throw DataError("sizes that no classifier has", at: path, fix: remedy) }
        var shape = ImageClassifier.Shape(
            channels: header.channels, height: header.height, width: header.width, patch: header.patch,
            classes: header.classes.count)
        (shape.levels, shape.embed, shape.heads) = (header.levels, header.embed, header.heads)
        (shape.depth, shape.features) = (header.depth, header.features)
        do {
            classifier = try ImageClassifier(shape)
        } catch let error as GraphError {
            throw DataError("sizes that no classifier has (\(error))", at: path, fix: remedy)
        }
        classNames = header.classes
        accuracy = header.accuracy
        scale = header.scale
        parameters = try classifier.layout.values(from: file)
    }

    // MARK: Use

    /// Features [N, D] and logits [N, classes] of a data set's images.
    public func answers(to data: Dataset, on device: Device, batch: Int = Self.batch) throws -> (features: [Float], logits: [Float]) {
        let shape = classifier.shape
        guard data.shape[1...] == [shape.channels, shape.height, shape.width] else {
            throw DataError(
                "it takes images of \(shape.channels) x \(shape.height) x \(shape.width), not \(data.channels) x \(data.height) x \(data.width)",
                at: "classifier", fix: "train one on this data with driftgpu eval --fit-classifier")
        }
        let memory = DeviceMemory(device)
        try memory.write(parameters, to: classifier.layout.storage("parameters"))
        let (graph, images, features, logits) = try Self.graph(classifier, batch: batch)
        let executor = try memory.executor(graph)
        var result: (features: [Float], logits: [Float]) = ([], [])
        try data.forEachBatch(of: batch) { block, count in
            try executor.write(block, to: images)
            try executor.run()
            result.features += try executor.read(features).prefix(count * shape.features).map { $0 * scale }
            result.logits += try executor.read(logits).prefix(count * shape.classes)
        }
        return result
    }

    /// Images at a time.
    public static let batch = 128

    /// The graph that classifies a batch.
    static func graph(
        _ classifier: ImageClassifier, batch: Int
    ) throws -> (graph: Graph, images: Tensor, features: Tensor, logits: Tensor) {
        let graph = Graph()
        let shape = classifier.shape
        let images = try graph.input("images", [batch, shape.channels, shape.height, shape.width])
        let (features, logits) = try classifier(images, ParameterScope(graph, classifier.layout))
        graph.output(features)
        graph.output(logits)
        return (graph, images, features, logits)
    }

    /// Part of the images that get their own label.
    func accuracy(on data: Dataset, device: Device) throws -> Double {
        Self.correctShare(logits: try answers(to: data, on: device).logits, labels: data.labels)
    }

    /// Part of the rows of `logits` [N, classes] whose largest value is at their label; a row that is not all numbers is wrong.
    static func correctShare(logits: [Float], labels: [Int32]) -> Double {
        guard !labels.isEmpty else { return 0 }
        let classes = logits.count / labels.count
        let correct = labels.indices.count { i in
            let row = logits[(i * classes)..<((i + 1) * classes)]
            guard let top = row.max(), row.allSatisfy(\.isFinite) else { return false }
            return row.firstIndex(of: top).map { $0 - i * classes } == Int(labels[i])
        }
        return Double(correct) / Double(labels.count)
    }
}
