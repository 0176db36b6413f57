import DriftData
import DriftGPU

/// What a model is used for; each use has graphs of its own.
public enum ModelUse: String, CaseIterable, Sendable {
    /// Steps of both phases: labels encoded once and every image, gradient checkpointing, accumulated gradients with their
    /// update, images and moments of latents.
    case training
    /// Plain, guided and speculative drawing, of one image and of many.
    case sampling
    /// The features that generated images are compared in, and the classifier with its training.
    case judging
    /// kl16 on images of 256x256, in and out.
    case autoencoder
}

extension Configuration {
    /// The graphs that a use of a model of these settings runs, made without a device. A setting that only repeats the same
    /// kernels is there once. Throws a `GraphError` for settings that make no model.
    public func graphs(of use: ModelUse) throws -> [Graph] {
        switch use {
        case .training: try trainingVariants.flatMap { try $0.trainingGraphs(form: drawsLatents ? .moments(scale: 1) : .pixels) }
        case .sampling: try samplingGraphs()
        case .judging: try judgingGraphs()
        case .autoencoder: try Autoencoder.graphs(VAE(VAE.Shape()), count: 1, height: 256, width: 256)
        }
    }

    /// These settings, and with each of what changes the kernels.
    private var trainingVariants: [Configuration] {
        var (everyImage, checkpointing, accumulating) = (self, self, self)
        everyImage.encodeOnce = false
        checkpointing.gradCheckpointing = true
        accumulating.accumulate = 2
        return [self, everyImage, checkpointing, accumulating]
    }

    private func trainingGraphs(form: ImageForm) throws -> [Graph] {
        let model = try makeModel()
        return try [false, true].flatMap { isSecond in
            let step = try TrainingGraph(model, self, imageCount: classes, form: form, isSecondPhase: isSecond)
            guard accumulate > 1 else { return [step.graph] }
            return [step.graph, try AccumulatedStep(model, self, part: step, isSecondPhase: isSecond).graph]
        }
    }

    private func samplingGraphs() throws -> [Graph] {
        let model = try makeModel()
        let weights = evalWeights.buffer
        let batches = [(labels: 1, perLabel: 1), (labels: min(10, classes), perLabel: 16)]
        let plain = try model.sourceGraphs(batches, weights: weights)
        guard let driftAR = model as? DriftARModel else { return plain }
        return try plain
            + batches.flatMap { labels, perLabel in
                try [(true, false), (false, true), (true, true)].map { isGuided, isMerged in
                    let batch = ImageDecoder.Batch(labels: labels, perLabel: perLabel, isGuided: isGuided, isMerged: isMerged)
                    return try ImageDecoder.graph(driftAR, weights: weights, batch).graph
                } + SpeculativeLoop.graphs(driftAR, weights: weights, labels: labels, perLabel: perLabel, Speculation())
            }
    }

    private func judgingGraphs() throws -> [Graph] {
        let classifier = try ImageClassifier(
            ImageClassifier.Shape(channels: channels, height: height, width: width, classes: max(2, classes)))
        let judges = [
            try ClassifierStep(classifier, ClassifierTraining()).graph,
            try FittedClassifier.graph(classifier, batch: FittedClassifier.batch).graph,
        ]
        guard let driftAR = try makeModel() as? DriftARModel else { return judges }
        return judges + [try PhiFeatures.graph(driftAR, self).graph]
    }
}
