import DriftFormats
import DriftGPU
import DriftReport

/// What a run's model says of its labels, and samples to go with it.
public struct ModelDiagnostics: Sendable {
    /// What is looked at.
    public struct Settings: Sendable {
        /// Labels whose entropies are computed; all where nil.
        public var labels: [Int]?
        /// Samples of each label that is shown.
        public var perLabel: Int
        /// Of their noise.
        public var seed: UInt64

        public init(labels: [Int]? = nil, perLabel: Int = 3, seed: UInt64 = 0) {
            (self.labels, self.perLabel, self.seed) = (labels, perLabel, seed)
        }

        /// The labels of a model that are looked at. Throws a line where the settings do not go with it.
        func chosen(_ configuration: Configuration) throws -> [Int] {
            guard perLabel > 0, perLabel <= 16 else {
                throw ConfigurationError("per-label \(perLabel): take 1 to 16")
            }
            let chosen = labels ?? Array(0..<configuration.data.classes)
            guard !chosen.isEmpty else { throw ConfigurationError("labels: name at least one") }
            if let wrong = chosen.first(where: { $0 < 0 || $0 >= configuration.data.classes }) {
                throw ConfigurationError("label \(wrong): the model has the classes 0 to \(configuration.data.classes - 1)")
            }
            return chosen
        }
    }

    /// A position of a label: its entropy and the error of what the draft proposed for it.
    struct Pair: Sendable {
        let entropy: Double
        /// The draft's at the position that made the proposal.
        let draftEntropy: Double
        let error: Double
        let relativeError: Double
    }

    let configuration: Configuration
    /// The prior's largest deviation.
    let sigmaMax: Double
    /// The draft's output at r - draftShift is its proposal for r.
    let draftShift: Int
    let settings: Settings
    let labels: [LabelDiagnostics]
    let unconditional: LabelDiagnostics
    /// Samples of the first labels, `perLabel` of each.
    let samples: [[Picture]]
    package let device: String

    /// Most labels that samples are drawn of and maps are shown for.
    static let shownLabels = 10
    /// Entropies from here on count as at the ceiling, which is 1.
    static let ceiling = 0.99

    /// Encodes the labels of `saved` on a device and draws samples. Latents are decoded by `autoencoder`, else shown in false
    /// colours.
    public init(_ saved: SavedModel, device: Device, autoencoder: Autoencoder? = nil, _ settings: Settings = Settings()) throws {
        let configuration = saved.configuration
        let chosen = try settings.chosen(configuration)
        let rendering = try Rendering(configuration, autoencoder: autoencoder)
        let state = try saved.load(into: DeviceMemory(device))
        let model = state.model
        let context = SamplingContext(StoredWeights(model.layout, buffer: "ema"), memory: state.memory)
        guard let sigma = model.head.sigma, let probe = model.stage.probe(context, sigma: sigma) else {
            throw ConfigurationError("model \(configuration.generatorName): no entropy sets the prior of its images")
        }
        (sigmaMax, draftShift) = (Double(sigma.maximum), configuration.stage.label?.draftShift ?? 0)
        let all = try probe(chosen + [nil])
        (labels, unconditional) = (Array(all.dropLast()), all[all.count - 1])
        let shown = Array(chosen.prefix(Self.shownLabels))
        let sampler = Sampler(state.model, memory: state.memory, batchLimit: configuration.sampleBatch)
        let (pixels, shape) = try rendering(sampler.tokens(labels: shown, perLabel: settings.perLabel, seed: settings.seed))
        let size = shape[1] * shape[2] * shape[3]
        let pictures = try (0..<shape[0]).map { index in
            try Picture(
                image: Array(pixels[(index * size)..<((index + 1) * size)]), channels: shape[1], height: shape[2], width: shape[3])
        }
        samples = shown.indices.map { Array(pictures[($0 * settings.perLabel)..<(($0 + 1) * settings.perLabel)]) }
        self.device = device.about.name
        (self.configuration, self.settings) = (configuration, settings)
    }

    /// Positions that the entropy says something of: E_1 is 0 by definition and left out.
    var positions: Range<Int> { 1..<max(1, configuration.data.tokens) }

    /// A property of all labels at the positions that count.
    func values(_ map: (LabelDiagnostics) -> [Double]) -> [Double] { labels.flatMap { map($0)[positions] } }

    /// Positions with a proposal, without the first.
    var pairs: [Pair] {
        return labels.flatMap { label in
            positions.filter { $0 >= draftShift }.map { position in
                Pair(
                    entropy: label.entropy[position], draftEntropy: label.draftEntropy[position - draftShift],
                    error: label.error[position], relativeError: label.relativeError[position])
            }
        }
    }

    /// What entropies are in the mean over labels and positions, and the part of them at the ceiling.
    struct Level: Sendable {
        let mean: Double
        let atCeiling: Double

        init(_ values: [Double]) {
            let count = Double(max(1, values.count))
            mean = values.reduce(0, +) / count
            atCeiling = Double(values.filter { $0 >= ModelDiagnostics.ceiling }.count) / count
        }
    }

    // MARK: Tables

    /// A line for each label and position, the unconditional one last. Positions count from 1.
    var csv: CSV {
        var csv = CSV([
            "label", "position", "entropy", "head_entropy", "head_entropy_min", "head_entropy_max", "sigma", "draft_entropy",
            "error", "relative_error",
        ])
        for label in labels + [unconditional] {
            let mean = label.headEntropy
            for position in label.entropy.indices {
                let heads = label.heads.map { $0[position] }
                csv.append([
                    .text(label.name), .integer(position + 1), .number(label.entropy[position]), .number(mean[position]),
                    .number(heads.min()), .number(heads.max()), .number(label.sigma[position]),
                    .number(label.draftEntropy[position]), .number(label.error[position]),
                    .number(label.relativeError[position]),
                ])
            }
        }
        return csv
    }
}
