import DriftAR
import DriftData
import DriftGPU

/// The models that are timed, from the preset of the handwritten digits to the reference's `large`, and DiT with all its
/// options. Each is small enough in its batch for a CPU; `Configuration.samplesPerLabel` and `labelsPerStep` may be raised on
/// a GPU.
public enum BenchmarkSize: String, CaseIterable, Sendable {
    case digits, small, medium, base, large, dit

    /// The model and the batch of a step.
    public var configuration: Configuration {
        var size = Configuration.digits
        switch self {
        case .digits: break
        case .small:
            (size.height, size.width, size.patch) = (16, 16, 4)
            (size.embed, size.heads, size.encoderDepth, size.decoderDepth) = (256, 8, 4, 4)
            (size.labelsPerStep, size.samplesPerLabel, size.positives) = (8, 8, 32)
        case .medium:
            (size.height, size.width, size.patch, size.buffer) = (32, 32, 2, 64)
            (size.embed, size.heads, size.encoderDepth, size.decoderDepth) = (384, 6, 6, 6)
            (size.labelsPerStep, size.samplesPerLabel, size.positives) = (1, 2, 32)
        case .dit:
            size = .digitsDrift
        case .base, .large:
            (size.channels, size.height, size.width, size.patch, size.buffer) = (16, 16, 16, 1, 64)
            let isBase = self == .base
            (size.embed, size.heads, size.draftDepth) = isBase ? (768, 12, 6) : (1024, 16, 6)
            (size.encoderDepth, size.decoderDepth) = isBase ? (12, 12) : (16, 16)
            (size.labelsPerStep, size.samplesPerLabel, size.positives) = (1, 2, 32)
        }
        size.preset = rawValue
        return size
    }

    /// Whether there are labels to be encoded, once or for every image, and a draft.
    public var hasEncoder: Bool { configuration.model == .driftAR }
}

extension Configuration {
    /// As many random images of the model's shape as a step draws from. What they show does not matter to the time.
    func randomImages() throws -> Dataset {
        var random = SystemRandomNumberGenerator()
        let size = channels * height * width
        let perClass = max(positives, samplesPerLabel)
        let count = labelsInStep * perClass
        let values = (0..<(count * size)).map { _ in Float.random(in: -1...1, using: &random) }
        return try Dataset(
            images: values, shape: [count, channels, height, width],
            labels: (0..<count).map { Int32($0 / perClass) }, classNames: (0..<labelsInStep).map(String.init))
    }
}
