import DriftGPU
import DriftReport

extension Configuration {
    /// What a run draws while it trains: the grid of samples, and the images that are judged.
    var drawings: [Sampler.Drawing] {
        var drawings = [Sampler.Drawing(labels: min(10, data.classes), perLabel: 10)]
        if run.onlineEval > 0 {
            drawings.append(Sampler.Drawing(labels: data.classes, perLabel: run.onlineEvalImages))
        }
        return drawings
    }

    /// Most images a run decodes at once: about as many as it trains on at once, so that samples hardly need more memory.
    var sampleBatch: Int { min(256, max(16, batch)) }
}

extension RunSettings.Weights {
    /// The flat buffer they lie in.
    var buffer: String { self == .ema ? "ema" : "parameters" }
}

extension TrainingRun {
    /// Real images of each class that are kept in memory to judge by: enough for figures that can be compared over a run.
    static let judgesPerClass = 500

    /// Judges samples of every class of the data against it, by the figures of `driftgpu eval`: part of the samples whose
    /// nearest real image has their label, diversity within a class over that of real images, distance to the nearest real
    /// image. Only reads what training uses, so a run with evaluations has the bits of one without.
    func evaluate() throws -> [(String, Double)] {
        guard let judges else { return [] }
        let configuration = trainer.configuration
        try sampler.reset()
        let labels = Array(0..<judges.classCount)
        let tokens = try sampler.tokens(
            labels: labels, perLabel: configuration.run.onlineEvalImages, seed: configuration.run.seed)
        let samples = try SampleSet(
            tokens: tokens, labels: labels, perLabel: configuration.run.onlineEvalImages, configuration: configuration
        ).dataset(classNames: judges.classNames)
        let figures = try ImageFigures(of: samples, against: judges)
        var result = [("accuracy", figures.accuracy)]
        if let diversity = figures.diversity { result.append(("diversity", diversity)) }
        if let distance = figures.nearestDistance { result.append(("nearest_distance", distance)) }
        return result
    }
}
