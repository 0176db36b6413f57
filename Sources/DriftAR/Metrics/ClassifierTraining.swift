import DriftData
import DriftFormats
import DriftGPU

/// How a classifier is trained: AdamW on the cross entropy of training images that are changed a little each time.
public struct ClassifierTraining: Sendable {
    public var steps = 2000
    /// Images in a step; nil: 128, or 32 of a classifier by convolutions, whose steps are dear.
    public var batch: Int?
    /// Takes mirrored images for images, too.
    public var flip = false
    public var learningRate = 1e-3
    public var weightDecay = 0.05
    public var dropout: Float = 0.1
    public var seed: UInt64 = 0

    public init() {}

    /// Trains on `training` and measures the accuracy on `heldOut`. The same seed on the same device gives the same bits.
    /// `progress` is called after every step with the steps done and now and then the loss.
    public func fit(
        training: Dataset, heldOut: Dataset, on device: Device, progress: (_ step: Int, _ loss: Double?) -> Void = { _, _ in }
    ) throws -> FittedClassifier {
        guard steps >= 1, batch ?? 1 >= 1 else { throw ConfigurationError("classifier: \(steps) steps of \(batch ?? 1) images; take 1 or more") }
        guard training.count > 0, training.classCount >= 2 else {
            throw DataError("\(training.count) images of \(training.classCount) classes", at: "classifier", fix: "give images of 2 classes or more")
        }
        let classifier = try ImageClassifier(ImageClassifier.Shape(for: training))
        let batch = imagesInStep(of: classifier.shape)
        let memory = DeviceMemory(device)
        let step = try ClassifierStep(classifier, self)
        let executor = try memory.executor(step.graph)
        try memory.write(
            classifier.layout.initialValues(of: classifier.declarations, seed: seed), to: classifier.layout.storage("parameters"))
        let rate = LearningRate(
            peak: learningRate, minimum: 0, warmup: Double(steps) / 20, total: Double(steps), kind: .cosine)
        let random = Philox(seed: seed)
        let changes = ImageChanges(height: training.height, width: training.width, mirrors: flip, zooms: classifier.shape.isOfConvolutions)
        for number in 0..<steps {
            let images = (0..<batch).map {
                random.below(training.count, stream: Self.imageStream, step: UInt64(number), element: UInt32($0))
            }
            try executor.write(changes(images, of: training, random, step: number), to: step.images)
            try executor.write(images.map { training.labels[$0] }, to: step.labels)
            try executor.write(Philox.clock(seed: seed, number: number), to: step.clock)
            try executor.write([Float(rate(Double(number + 1)))], to: step.learningRate)
            try executor.run()
            // Reading waits for the device.
            let isShown = (number + 1) % 50 == 0 || number + 1 == steps
            progress(number + 1, isShown ? Double(try executor.read(step.loss)[0]) : nil)
        }
        let parameters = try memory.read(Float.self, from: classifier.layout.storage("parameters"))
        func fitted(accuracy: Double, scale: Float) -> FittedClassifier {
            FittedClassifier(
                classifier, classNames: training.classNames, accuracy: accuracy, scale: scale, parameters: parameters)
        }
        let unscaled = fitted(accuracy: 0, scale: 1)
        let features = try unscaled.answers(to: training.spread(Self.scaleImages), on: device).features
        let square = features.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(features.count)
        guard square > 0, square.isFinite else {
            throw DataError("the classifier's features are \(square == 0 ? "all 0" : "not finite")", at: "classifier", fix: "train it with another --seed")
        }
        return fitted(accuracy: try unscaled.accuracy(on: heldOut, device: device), scale: Float(1 / square.squareRoot()))
    }

    /// Training images that the features' scale is taken from.
    private static let scaleImages = 2000

    private static let imageStream: UInt32 = 0x3003_0000

    /// Images in a step of a classifier of that shape.
    public func imagesInStep(of shape: ImageClassifier.Shape) -> Int { batch ?? (shape.isOfConvolutions ? 32 : 128) }
}

/// The graph of a training step.
struct ClassifierStep {
    let graph: Graph
    let images: Tensor
    let labels: Tensor
    let clock: Tensor
    let learningRate: Tensor
    let loss: Tensor

    init(_ classifier: ImageClassifier, _ settings: ClassifierTraining) throws {
        let graph = Graph()
        self.graph = graph
        let (layout, shape) = (classifier.layout, classifier.shape)
        let scope = ParameterScope(graph, layout)
        let batch = settings.imagesInStep(of: shape)
        images = try graph.input("images", [batch, shape.channels, shape.height, shape.width])
        labels = try graph.input("labels", [batch], .int32)
        clock = try graph.input("clock", [4], .uint32)
        learningRate = try graph.input("learning_rate", [1])
        let dropout = settings.dropout > 0 ? Dropout(probability: settings.dropout, clock: clock) : nil
        loss = try graph.crossEntropy(classifier(images, scope, dropout: dropout).logits, labels: labels)
        graph.output(loss)
        try UpdateGraph.placeGradients(of: loss, layout.entries, layout, scope)
        func flat(_ name: String) throws -> Tensor { try graph.stored([layout.count], in: layout.storage(name)) }
        let flags = layout.flags { _ in true }
        var optimizer = AdamW()
        (optimizer.beta2, optimizer.weightDecay, optimizer.averageDecay) = (0.999, settings.weightDecay, 1)
        try graph.step(
            optimizer,
            AdamW.State(
                parameters: flat("parameters"), gradient: flat("gradients"), firstMoment: flat("moment1"),
                secondMoment: flat("moment2"), average: nil, flags: graph.constant("flags", flags, [flags.count]),
                counters: graph.input("counters", [2], .uint32), learningRate: learningRate),
            loss: loss)
    }
}
