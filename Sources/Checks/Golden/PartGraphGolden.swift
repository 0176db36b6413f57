import DriftAR
import DriftFormats
import DriftGPU

/// The product's training step in `tokens` groups against the step that `ModelGolden` compares with the reference, on
/// the reference's parameters and images: its noise, memory bank and image patches come from the product's own nodes.
enum PartGraphGolden {
    private static let alpha: Float = 0.3

    static func trainingGraph(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        for isSecondPhase in [false, true] { try compare(golden, comparison, device, isSecondPhase: isSecondPhase) }
    }

    private static func compare(
        _ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device, isSecondPhase: Bool
    ) throws {
        let images = try golden.input("imgs", rank: 4)
        let label = try golden.input("labels", rank: 1).ints?.first ?? 0
        let configuration = try Self.configuration(golden, images: images.shape)
        let model = try golden.generator(configuration)
        let count = images.shape[0]
        let product = GoldenGraph(golden, device)
        _ = try product.parameters(model.layout, in: ["parameters", "ema"])
        try product.memory.write(
            images.floats ?? [], to: PartGraph.imageStorage(count: count, values: images.count / count))
        let training = try PartGraph(model.generator, configuration, imageCount: count, isSecondPhase: isSecondPhase)
        let executor = try product.memory.executor(training.graph)
        try executor.write([Int32](repeating: label, count: training.labels.count), to: training.labels)
        try executor.write((0..<Int32(count)).map { $0 }, to: training.indices)
        try executor.write([UInt32(7), 0, 3, 0], to: training.clock)
        try executor.write([Self.alpha], to: training.alpha)
        try executor.run()

        // The ring holds phi of exactly these images, of which each group draws all: their order does not matter.
        let checked = GoldenGraph(golden, device)
        let graph = checked.graph
        let scope = try checked.parameters(model.layout)
        let labels = try checked.input(
            "labels", NamedTensor(shape: [count], ints: [Int32](repeating: label, count: count)))
        let clockStorage = Storage("clock", count: 4, element: .uint32)
        let clock = try graph.stored([4], in: clockStorage)
        try checked.memory.write([UInt32(7), 0, 3, 0], to: clockStorage)
        let noise = try graph.randomNormal([count, model.generator.tokens, model.generator.tokenWidth], clock: clock)
        let real = try model.head.phi(graph.patchify(checked.input("imgs"), patch: configuration.data.patch), scope)
        let positives = try graph.reshape(
            graph.repeatEach(graph.reshape(graph.detach(real), [1, real.count]), times: count),
            [count, count * model.generator.tokens, model.head.shape.embed])
        let step = try TrainingForward(
            graph, model, scope, labels: labels, noise: noise,
            alpha: checked.input("alpha", NamedTensor(shape: [1], floats: [Self.alpha])),
            isSecondPhase: isSecondPhase, radii: configuration.loss.radii, targets: DriftTargets(positive: positives))
        let trained = model.generator.trained(isSecondPhase: isSecondPhase)
        let gradients = try graph.gradients(
            of: step.total, withRespectTo: trained.map { try scope.parameter($0.name) })
        (step.outputs + gradients.compactMap { $0 }).forEach(graph.output)
        try checked.run()

        let losses = training.losses
        let pairs: [(String, Tensor?, Tensor)] = [
            ("generated", training.generated, step.generated), ("drift", losses["drift"], step.drift.loss),
            ("scale", losses["scale"], step.drift.scale),
            ("force", losses.first { $0.names[0].hasPrefix("force_") }?.value, step.drift.squaredForce),
            ("regression", losses["regression"], step.regression), ("entropy", losses["entropy_loss"], step.entropyLoss),
            ("total", losses["loss"], step.total),
        ]
        for (name, own, other) in pairs {
            guard let own else { continue }
            try comparison.checkEqual(name, executor.read(own), checked.read(other))
        }
        let flat = try product.memory.read(Float.self, from: model.layout.storage("gradients"))
        for (entry, gradient) in zip(trained, gradients) {
            // A key's bias has no gradient but rounding noise.
            if entry.name.hasSuffix("wk.bias") { continue }
            try comparison.checkEqual(
                "gradient of \(entry.name)",
                Array(flat[entry.offset..<(entry.offset + entry.count)]), checked.read(gradient, count: entry.count))
        }
    }

    /// One label, each image of the case once, none of the product's departures from the reference.
    private static func configuration(_ golden: GoldenCase, images: [Int]) throws -> Configuration {
        var configuration = Configuration()
        configuration.loss.groups = .tokens
        (configuration.data.channels, configuration.data.height, configuration.data.width) = (images[1], images[2], images[3])
        configuration.data.patch = try golden.integer("patch_size")
        configuration.data.classes = try golden.integer("class_num")
        configuration.run.labelsPerStep = 1
        configuration.run.samplesPerLabel = images[0]
        configuration.loss.positives = images[0]
        configuration.loss.positiveBank = images[0]
        configuration.loss.negatives = 0
        configuration.stage.label?.encodeOnce = false
        configuration.stage.label?.draftShift = 1
        configuration.run.labelDrop = 0
        configuration.loss.radii = try golden.numbers("R").map(Float.init)
        return configuration
    }
}
