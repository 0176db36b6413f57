import DriftAR
import DriftData
import DriftGPU

/// The models that are timed, from the preset of the handwritten digits to the reference's `large`, and DiT with all its
/// options. Each has a batch that a CPU can take; `--labels-per-step` and `--batch` of `driftgpu bench` raise it on a GPU.
public enum BenchmarkSize: String, CaseIterable, Sendable {
    case digits, small, medium, base, large, dit
    /// The model of digits-mar with the diffusion head and with the energy head.
    case mar
    case marEnergy = "mar-energy"
    /// MAR with its drift head; and the model of digits-causal with the flow head, the energy head and the drift head.
    case marDrift = "mar-drift"
    case causal
    case causalEnergy = "causal-energy"
    case causalDrift = "causal-drift"
    /// The model of digits-transdiff.
    case transDiff = "transdiff"
    /// The model of photos-drift, whose images a feature encoder compares.
    case photosDrift = "photos-drift"
    /// The autoencoder of photographs that `vae train` trains.
    case photosAutoencoder = "photos-autoencoder"
    /// Published sizes on latents of 256x256 images: MAR with its diffusion head and with the drift head, TransDiff with its flow (`base` and
    /// `large` have the drift decoder in its place), and causal models as large as MAR's, with the flow head and with the drift head.
    case marBase = "mar-base"
    case marBaseDrift = "mar-base-drift"
    case marLarge = "mar-large"
    case marLargeDrift = "mar-large-drift"
    case transDiffBase = "transdiff-base"
    case transDiffLarge = "transdiff-large"
    case causalBase = "causal-base"
    case causalBaseDrift = "causal-base-drift"
    case causalLarge = "causal-large"
    case causalLargeDrift = "causal-large-drift"

    /// The names of all, separated by commas.
    public static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// The model and the batch of a step.
    public var configuration: Configuration {
        var size = Configuration.digits
        switch self {
        case .digits: break
        case .small:
            (size.data.height, size.data.width, size.data.patch) = (16, 16, 4)
            (size.network.embed, size.network.heads, size.head.depth) = (256, 8, 4)
            size.stage.label?.encoderDepth = 4
            (size.run.labelsPerStep, size.run.samplesPerLabel, size.loss.positives) = (8, 8, 32)
        case .medium:
            (size.data.height, size.data.width, size.data.patch) = (32, 32, 2)
            (size.network.embed, size.network.heads, size.head.depth) = (384, 6, 6)
            size.stage.label?.encoderDepth = 6
            size.stage.label?.buffer = 64
            (size.run.labelsPerStep, size.run.samplesPerLabel, size.loss.positives) = (1, 2, 32)
        case .dit:
            size = .digitsDrift
        case .mar, .marEnergy, .marDrift:
            size = .digitsMAR
            size.adopt(self == .mar ? .mar : self == .marEnergy ? .marEnergy : .marDrift)
            size.head.diffusion?.noises = 4
            size.run.samplesPerLabel = 10
        case .causal, .causalEnergy, .causalDrift:
            size = .digitsCausal
            size.adopt(self == .causal ? .causal : self == .causalEnergy ? .causalEnergy : .causalDrift)
            size.head.flow?.noises = 4
            size.run.samplesPerLabel = 10
        case .transDiff:
            size = .digitsTransDiff
        case .photosDrift:
            size = .photosDrift
            size.run.labelsPerStep = 2
        case .photosAutoencoder:
            size = .autoencoder
            (size.run.labelsPerStep, size.run.samplesPerLabel) = (10, 1)
        case .marBase: size = Self.tokenModel(of: .marBase, .mar)
        case .marBaseDrift: size = Self.tokenModel(of: .marBase, .marDrift)
        case .marLarge: size = Self.tokenModel(of: .marLarge, .mar)
        case .marLargeDrift: size = Self.tokenModel(of: .marLarge, .marDrift)
        case .causalBase: size = Self.tokenModel(of: .marBase, .causal)
        case .causalBaseDrift: size = Self.tokenModel(of: .marBase, .causalDrift)
        case .causalLarge: size = Self.tokenModel(of: .marLarge, .causal)
        case .causalLargeDrift: size = Self.tokenModel(of: .marLarge, .causalDrift)
        case .transDiffBase, .transDiffLarge:
            size = self == .transDiffBase ? .transDiffBase : .transDiffLarge
            (size.run.labelsPerStep, size.run.samplesPerLabel) = (1, 2)
        case .base, .large:
            (size.data.channels, size.data.height, size.data.width, size.data.patch) = (16, 16, 16, 1)
            let depth = self == .base ? 12 : 16
            (size.network.embed, size.network.heads, size.head.depth) = self == .base ? (768, 12, depth) : (1024, 16, depth)
            size.stage.label?.encoderDepth = depth
            size.stage.label?.draftDepth = 6
            size.stage.label?.buffer = 64
            (size.run.labelsPerStep, size.run.samplesPerLabel, size.loss.positives) = (1, 2, 32)
        }
        size.preset = rawValue
        return size
    }

    /// A model of tokens in a published size of MAR: as wide, as many blocks in all, the head as wide and deep.
    private static func tokenModel(of mar: Configuration, _ model: Configuration.Model) -> Configuration {
        var size = mar
        size.adopt(model)
        if let head = mar.head.diffusion {
            size.head.depth = head.depth
            size.head.drift?.width = head.width
            size.head.flow?.width = head.width
        }
        if size.stage.causal != nil, let stage = mar.stage.mar {
            size.stage.causal?.depth = stage.encoderDepth + stage.decoderDepth
            size.stage.causal?.classTokens = stage.buffer
            size.network.mlpRatio = 2.75
            size.network.dropout = 0
        }
        (size.run.labelsPerStep, size.run.samplesPerLabel) = (1, 2)
        return size
    }

    /// Whether there are labels to be encoded, once or for every image, and a draft.
    public var hasEncoder: Bool { configuration.stage.label?.entropy == true }
}

extension Configuration {
    /// As many random images of the model's shape as a step draws from. What they show does not matter to the time.
    func randomImages() throws -> Dataset {
        var random = SystemRandomNumberGenerator()
        let size = data.channels * data.height * data.width
        let perClass = max(loss.positives, run.samplesPerLabel)
        let count = labelsInStep * perClass
        let values = (0..<(count * size)).map { _ in Float.random(in: -1...1, using: &random) }
        return try Dataset(
            images: values, shape: [count, data.channels, data.height, data.width],
            labels: (0..<count).map { Int32($0 / perClass) }, classNames: (0..<labelsInStep).map(String.init))
    }
}
