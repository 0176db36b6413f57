import DriftData
import DriftGPU

/// What a model is used for; each use has graphs of its own.
public enum ModelUse: String, CaseIterable, Sendable {
    /// Steps of both phases: labels encoded once and every image, gradient checkpointing, accumulated gradients with their
    /// update, images and moments of latents.
    case training
    /// Drawing of one image and of many; of models that encode labels also guided and speculative.
    case sampling
    /// The features that generated images are compared in, and the classifier with its training.
    case judging
    /// kl16 on images of 256x256, in and out, and the training of an autoencoder.
    case autoencoder
}

extension Configuration {
    /// The graphs that a use of a model of these settings runs, made without a device. A setting that only repeats the same
    /// kernels is there once. Throws a `GraphError` for settings that make no model.
    public func graphs(of use: ModelUse) throws -> [Graph] {
        switch use {
        case .training: try trainingVariants.flatMap { try $0.trainingGraphs(form: data.areLatents ? .moments(scale: 1) : .pixels) }
        case .sampling: try samplingGraphs()
        case .judging: try judgingGraphs()
        case .autoencoder:
            try Autoencoder.graphs(VAE(VAE.Shape()), count: 1, height: 256, width: 256)
                + Configuration.autoencoder.trainingGraphs(form: .bytes)
        }
    }

    /// These settings, and with each of what changes the kernels.
    private var trainingVariants: [Configuration] {
        // Four parts: the sums of two are carried on.
        var (everyImage, checkpointing, accumulating) = (self, self, self)
        everyImage.stage.label?.encodeOnce = false
        checkpointing.run.gradCheckpointing = true
        accumulating.run.accumulate = 4
        return [self, everyImage, checkpointing, accumulating]
    }

    private func trainingGraphs(form: ImageForm) throws -> [Graph] {
        try [false, true].flatMap { try Trainer.plannedGraphs(self, form: form, isSecondPhase: $0) }
    }

    private func samplingGraphs() throws -> [Graph] {
        let model = try makeGenerator()
        let weights = run.evalWeights.buffer
        let sizes = [(1, 1), (min(10, data.classes), 16)].map { DrawingGraph.Size(labels: $0, perLabel: $1) }
        let plain = try model.drawingGraphs(sizes, weights: weights)
        guard model.stage.storage(labels: 1) != nil else { return plain }
        let stored = StoredWeights(model.layout, buffer: weights)
        let forms = model.stage.hasEntropy ? [(true, false), (false, true), (true, true)] : [(true, false)]
        return try plain
            + sizes.flatMap { size in
                try forms.flatMap { isGuided, isMerged in
                    try LabelOnce.graphs(model, stored, .init(size, isGuided: isGuided, isMerged: isMerged))
                } + model.stage.speculativeGraphs(size, Speculation(), stored)
            }
    }

    private func judgingGraphs() throws -> [Graph] {
        let classifier = try ImageClassifier(
            ImageClassifier.Shape(channels: data.channels, height: data.height, width: data.width, classes: max(2, data.classes)))
        let judges = [
            try ClassifierStep(classifier, ClassifierTraining()).graph,
            try FittedClassifier.graph(classifier, batch: FittedClassifier.batch).graph,
        ]
        return judges + [try PhiFeatures.graph(makeGenerator(), self)?.graph].compactMap { $0 }
    }
}
