import DriftFormats

extension Configuration {
    /// The preset `name`. Throws when there is none of that name.
    public static func preset(_ name: String) throws -> Configuration {
        guard let preset = presets[name] else {
            throw ConfigurationError(
                "preset \(name): unknown; there is \(presets.keys.sorted().joined(separator: ", "))")
        }
        return preset
    }

    /// Presets by name.
    public static let presets: [String: Configuration] = [
        "digits": digits, "digits-drift": digitsDrift, "mnist": mnist, "mnist-drift": mnistDrift,
        "imagenet-base": imageNet("imagenet-base", embed: 768, heads: 12, depth: 12),
        "imagenet-large": imageNet("imagenet-large", embed: 1024, heads: 16, depth: 16),
        "imagenet-huge": imageNet("imagenet-huge", embed: 1280, heads: 16, depth: 20),
    ]

    /// Whether a preset is for the digits that the program carries.
    public static func carriesData(_ preset: String) -> Bool { preset == "digits" || preset == "digits-drift" }

    /// Throws where the preset is for data that the program does not carry and none is named.
    public func requireData() throws {
        guard data.isEmpty, !Self.carriesData(preset), let own = Self.presets[preset] else { return }
        let kind = own.channels == 16 ? "a folder of latents (driftgpu cache)" : "its images"
        throw ConfigurationError("preset \(preset): the program does not carry its data; name \(kind) with --data PATH")
    }

    /// 1442 handwritten digits of 8x8 pixels: about a minute on two cores. The wider prior keeps the samples of a label
    /// apart from the start; with the reference's 0.5 the same run ends less diverse. Without the smallest radius, whose
    /// force comes from single neighbours, the pictures are less noisy.
    package static var digits: Configuration {
        var digits = Configuration()
        digits.sigmaMax = 1
        digits.radii = [0.05, 0.2]
        digits.positives = 64
        digits.steps = 2000
        digits.learningRate = 1e-3
        digits.decayFraction = 0.5
        return digits
    }

    /// The same digits by drifting alone: DiT in pixel space, groups of samples of a label under Algorithm 2.
    package static var digitsDrift: Configuration {
        var drift = Configuration()
        drift.preset = "digits-drift"
        drift.model = .dit
        (drift.embed, drift.heads, drift.decoderDepth) = (64, 4, 3)
        (drift.rope, drift.qkNorm, drift.swiglu) = (true, true, true)
        drift.radii = [0.05, 0.2]
        (drift.samplesPerLabel, drift.positives, drift.negatives) = (16, 96, 8)
        drift.guidanceMax = 2
        drift.labelDrop = 0.05
        drift.steps = 2000
        drift.learningRate = 2e-3
        drift.decayFraction = 0.5
        return drift
    }

    /// MNIST by drifting alone. Real images are cheap beside the network, and the more there are, the nearer is one that a
    /// sample can go to. The smallest radius lets it: after 1000 steps a classifier read 94 % of the samples, 88 % without.
    private static var mnistDrift: Configuration {
        var drift = digitsDrift
        drift.preset = "mnist-drift"
        (drift.height, drift.width, drift.patch) = (28, 28, 4)
        (drift.embed, drift.decoderDepth) = (128, 4)
        drift.radii = [0.02, 0.05, 0.2]
        drift.positives = 256
        drift.steps = 3000
        return drift
    }

    /// MNIST, 28x28 pixels. The prior is as wide as the digits': from one of 0.7 samples are read by a classifier sooner, but had
    /// a diversity of 0.28 after 700 steps, where those from one of 1 had 0.72. Many real images and the
    /// smallest radius for the reason that mnist-drift has them.
    private static var mnist: Configuration {
        var mnist = digits
        mnist.preset = "mnist"
        (mnist.height, mnist.width, mnist.patch) = (28, 28, 4)
        mnist.embed = 96
        mnist.radii = [0.02, 0.05, 0.2]
        mnist.positives = 256
        mnist.steps = 6000
        mnist.learningRate = 2e-3
        return mnist
    }

    /// Latents of 256x256 images in the reference's sizes. What follows from samples of a label being a group is chosen to
    /// go with one large GPU.
    private static func imageNet(_ name: String, embed: Int, heads: Int, depth: Int) -> Configuration {
        var imageNet = Configuration()
        imageNet.preset = name
        (imageNet.channels, imageNet.height, imageNet.width, imageNet.patch) = (16, 16, 16, 1)
        imageNet.classes = 1000
        (imageNet.embed, imageNet.heads, imageNet.encoderDepth, imageNet.decoderDepth) = (embed, heads, depth, depth)
        (imageNet.draftDepth, imageNet.buffer, imageNet.dropout) = (6, 64, 0.1)
        (imageNet.sigmaMax, imageNet.radii) = (1, [0.05, 0.2])
        (imageNet.labelsPerStep, imageNet.samplesPerLabel, imageNet.positives) = (8, 16, 64)
        (imageNet.steps, imageNet.warmupSteps, imageNet.learningRate, imageNet.ema) = (200_000, 5000, 2e-4, 0.9999)
        (imageNet.logEvery, imageNet.sampleEvery, imageNet.checkpointEvery) = (50, 2000, 2000)
        return imageNet
    }
}
