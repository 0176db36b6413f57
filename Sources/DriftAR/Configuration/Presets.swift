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
        "digits-mar": digitsMAR, "mnist-mar": mnistMAR, "digits-causal": digitsCausal, "mnist-causal": mnistCausal,
        "digits-transdiff": digitsTransDiff, "autoencoder": autoencoder,
        "features": features, "latent-features": latentFeatures, "photos-drift": photosDrift, "photos-mar": photosMAR, "photos-transdiff": photosTransDiff,
        "mar-base": marBase, "mar-large": marLarge,
        "mar-huge": mar("mar-huge", embed: 1280, heads: 16, depth: 20, headWidth: 1536, headDepth: 12),
        "transdiff-base": transDiffBase, "transdiff-large": transDiffLarge,
        "transdiff-huge": transDiff("transdiff-huge", embed: 1280, heads: 16, depth: 20),
        "imagenet-base": imageNet("imagenet-base", embed: 768, heads: 12, depth: 12),
        "imagenet-large": imageNet("imagenet-large", embed: 1024, heads: 16, depth: 16),
        "imagenet-huge": imageNet("imagenet-huge", embed: 1280, heads: 16, depth: 20),
    ]

    /// Whether a preset is for the digits that the program carries.
    public static func carriesData(_ preset: String) -> Bool { ["digits", "digits-drift", "digits-mar", "digits-causal", "digits-transdiff"].contains(preset) }

    /// Throws where the preset is for data that the program does not carry and none is named.
    public func requireData() throws {
        guard data.path.isEmpty, !Self.carriesData(preset), let own = Self.presets[preset] else { return }
        let kind = own.data.areLatents ? "a folder of latents (driftgpu cache)" : "its images"
        throw ConfigurationError("preset \(preset): the program does not carry its data; name \(kind) with --data PATH")
    }

    /// 1442 handwritten digits of 8x8 pixels: about a minute on two cores. The wider prior keeps the samples of a label
    /// apart from the start; with the reference's 0.5 the same run ends less diverse. Without the smallest radius, whose
    /// force comes from single neighbours, the pictures are less noisy.
    package static var digits: Configuration {
        var digits = Configuration()
        digits.head.decoder?.sigmaMax = 1
        digits.loss.radii = [0.05, 0.2]
        digits.loss.positives = 64
        digits.run.steps = 2000
        (digits.optimizer.learningRate, digits.optimizer.decayFraction) = (1e-3, 0.5)
        return digits
    }

    /// The same digits by drifting alone: DiT in pixel space, groups of samples of a label under Algorithm 2.
    package static var digitsDrift: Configuration {
        var drift = Configuration()
        drift.preset = "digits-drift"
        drift.adopt(.dit)
        drift.head.dit?.rope = true
        drift.head.dit?.qkNorm = true
        drift.head.dit?.swiglu = true
        drift.head.dit?.guidanceMax = 2
        (drift.network.embed, drift.network.heads, drift.head.depth) = (64, 4, 3)
        (drift.loss.radii, drift.loss.positives, drift.loss.negatives) = ([0.05, 0.2], 96, 8)
        (drift.run.steps, drift.run.samplesPerLabel, drift.run.labelDrop) = (2000, 16, 0.05)
        (drift.optimizer.learningRate, drift.optimizer.decayFraction) = (2e-3, 0.5)
        return drift
    }

    /// MNIST by drifting alone. Real images are cheap beside the network, and the more there are, the nearer is one that a
    /// sample can go to. The smallest radius lets it: after 1000 steps a classifier read 94 % of the samples, 88 % without.
    private static var mnistDrift: Configuration {
        var drift = digitsDrift
        drift.preset = "mnist-drift"
        (drift.data.height, drift.data.width, drift.data.patch) = (28, 28, 4)
        (drift.network.embed, drift.head.depth) = (128, 4)
        (drift.loss.radii, drift.loss.positives) = ([0.02, 0.05, 0.2], 256)
        drift.run.steps = 3000
        return drift
    }

    /// MNIST, 28x28 pixels. The prior is as wide as the digits': from one of 0.7 samples are read by a classifier sooner, but had
    /// a diversity of 0.28 after 700 steps, where those from one of 1 had 0.72. Many real images and the
    /// smallest radius for the reason that mnist-drift has them.
    private static var mnist: Configuration {
        var mnist = digits
        mnist.preset = "mnist"
        (mnist.data.height, mnist.data.width, mnist.data.patch) = (28, 28, 4)
        mnist.network.embed = 96
        (mnist.loss.radii, mnist.loss.positives) = ([0.02, 0.05, 0.2], 256)
        mnist.run.steps = 6000
        mnist.optimizer.learningRate = 2e-3
        return mnist
    }

    /// The same digits by masked autoregression, a token drawn in one step. Of 16 tokens late rounds know nearly all, so training
    /// must hide few now and then: with the papers' least part of 0.7 a classifier read 84 % of the samples of 16 rounds after
    /// 2000 steps of 100 images, with this one 95 %; of 200 images 97 %.
    private static var energyMAR: Configuration {
        var mar = Configuration()
        mar.adopt(.marEnergy)
        mar.stage.mar?.buffer = 8
        mar.stage.mar?.maskMinimum = 0.05
        mar.stage.mar?.maskDeviation = 0.6
        mar.head.energy?.width = 96
        (mar.run.steps, mar.run.samplesPerLabel) = (2000, 20)
        (mar.optimizer.learningRate, mar.optimizer.clip) = (2e-3, 3)
        return mar
    }

    /// With the drift head, whose samples lie nearest to real images of the three heads.
    package static var digitsMAR: Configuration {
        var mar = energyMAR
        mar.preset = "digits-mar"
        mar.adopt(.marDrift)
        return mar
    }

    /// The same digits by causal autoregression with the energy head.
    package static var digitsCausal: Configuration {
        var causal = energyMAR
        causal.preset = "digits-causal"
        causal.adopt(.causalEnergy)
        causal.network.mlpRatio = 2.75
        return causal
    }

    /// The same digits by TransDiff's encoder and its flow of many steps. One noise an image and many steps: the Frechet distance was
    /// 1.0 after 2000 and 0.76 after 4000; with four noises of half as many images 1.2 after 1500, which take as long as 3000.
    package static var digitsTransDiff: Configuration {
        var flow = digits
        flow.preset = "digits-transdiff"
        flow.adopt(.transDiff)
        flow.head.flowDecoder?.noises = 1
        flow.run.steps = 4000
        return flow
    }

    /// MNIST by masked autoregression: 49 tokens of 16 values. A small network that sees many images: with a width of 96 and 128
    /// in the head the same time is enough for half as many, and their Frechet distance was 2.0 in place of 1.2.
    private static var mnistMAR: Configuration {
        var mar = energyMAR
        mar.preset = "mnist-mar"
        (mar.data.height, mar.data.width, mar.data.patch) = (28, 28, 4)
        mar.head.energy?.noises = 1
        (mar.run.steps, mar.run.samplesPerLabel) = (12000, 10)
        (mar.run.sampleEvery, mar.run.checkpointEvery) = (1000, 1000)
        return mar
    }

    /// MNIST by causal autoregression, as mnist-mar: 49 tokens, a small network that sees many images.
    private static var mnistCausal: Configuration {
        var causal = digitsCausal
        causal.preset = "mnist-causal"
        (causal.data.height, causal.data.width, causal.data.patch) = (28, 28, 4)
        causal.head.energy?.noises = 1
        (causal.run.steps, causal.run.samplesPerLabel) = (6000, 10)
        (causal.run.sampleEvery, causal.run.checkpointEvery) = (1000, 1000)
        return causal
    }

    /// An autoencoder of one's own pictures: 64x64 pixels to 16x16 latents of 4 channels.
    package static var autoencoder: Configuration {
        var vae = Configuration()
        vae.preset = "autoencoder"
        (vae.stage, vae.head) = (StageSettings(UnconditionedStageSettings()), HeadSettings(AutoencoderHeadSettings()))
        (vae.data.channels, vae.data.height, vae.data.width, vae.data.patch) = (3, 64, 64, 1)
        (vae.data.flip, vae.run.labelDrop, vae.run.samplesPerLabel) = (true, 0, 2)
        (vae.optimizer.learningRate, vae.optimizer.decayFraction, vae.optimizer.warmupSteps) = (1e-3, 0.5, 100)
        (vae.optimizer.weightDecay, vae.optimizer.clip, vae.optimizer.beta2) = (0.01, 1, 0.99)
        vae.run.steps = 2500
        return vae
    }

    /// A feature encoder of one's own pictures: 64 patches of 64x64 pixels.
    private static var features: Configuration {
        var features = Configuration()
        features.preset = "features"
        (features.stage, features.head) = (StageSettings(UnconditionedStageSettings()), HeadSettings(MaskedAutoencoderHeadSettings()))
        (features.data.channels, features.data.height, features.data.width, features.data.patch) = (3, 64, 64, 8)
        (features.data.flip, features.run.labelDrop, features.run.samplesPerLabel) = (true, 0, 6)
        (features.network.embed, features.network.heads) = (128, 4)
        (features.optimizer.learningRate, features.optimizer.decayFraction, features.optimizer.warmupSteps) = (1e-3, 0.5, 100)
        (features.optimizer.weightDecay, features.optimizer.clip) = (0.05, 1)
        features.run.steps = 3000
        return features
    }

    /// A feature encoder of the latents of `autoencoder`: 64 patches.
    private static var latentFeatures: Configuration {
        var latents = features
        latents.preset = "latent-features"
        (latents.data.channels, latents.data.height, latents.data.width, latents.data.patch) = (4, 16, 16, 2)
        return latents
    }

    /// Photographs of 64x64 pixels by drifting alone, on the latents of `autoencoder`, compared by an encoder of `latent-features`. In the same
    /// 12 minutes a classifier read 58 % of its samples right, and 49 % of those of a run of three times as many steps that compares latents
    /// alone.
    package static var photosDrift: Configuration {
        var drift = mnistDrift
        drift.preset = "photos-drift"
        (drift.data.channels, drift.data.height, drift.data.width, drift.data.patch) = (4, 16, 16, 2)
        drift.data.flip = true
        (drift.loss.features, drift.encoder.patch, drift.loss.positives) = (.encoder, 2, 32)
        (drift.run.steps, drift.run.sampleEvery) = (2000, 500)
        return drift
    }

    /// Photographs of 64x64 pixels by masked autoregression on the latents of `autoencoder`: 64 tokens of 16 values.
    private static var photosMAR: Configuration {
        var mar = mnistMAR
        mar.preset = "photos-mar"
        (mar.data.channels, mar.data.height, mar.data.width, mar.data.patch) = (4, 16, 16, 2)
        mar.data.flip = true
        mar.network.embed = 96
        mar.head.energy?.width = 128
        mar.run.steps = 4000
        return mar
    }

    /// The same by TransDiff's encoder and its flow: of what was tried for a quarter of an hour its samples were read right most often. 12 steps
    /// without noise come nearer to the photographs than a hundred with it.
    private static var photosTransDiff: Configuration {
        var flow = digitsTransDiff
        flow.preset = "photos-transdiff"
        (flow.data.channels, flow.data.height, flow.data.width, flow.data.patch) = (4, 16, 16, 2)
        flow.data.flip = true
        flow.stage.label?.encoderDepth = 2
        (flow.network.embed, flow.head.depth) = (128, 4)
        flow.head.flowDecoder?.sampler = .ode
        flow.head.flowDecoder?.steps = 12
        (flow.run.sampleEvery, flow.run.checkpointEvery) = (1000, 1000)
        flow.run.steps = 6000
        return flow
    }

    package static var marBase: Configuration { mar("mar-base", embed: 768, heads: 12, depth: 12, headWidth: 1024, headDepth: 6) }
    package static var marLarge: Configuration { mar("mar-large", embed: 1024, heads: 16, depth: 16, headWidth: 1280, headDepth: 8) }
    package static var transDiffBase: Configuration { transDiff("transdiff-base", embed: 768, heads: 12, depth: 12) }
    package static var transDiffLarge: Configuration { transDiff("transdiff-large", embed: 1024, heads: 16, depth: 16) }

    /// MAR in its published sizes, on latents of 256x256 images.
    private static func mar(
        _ name: String, embed: Int, heads: Int, depth: Int, headWidth: Int, headDepth: Int
    ) -> Configuration {
        var mar = Configuration()
        mar.preset = name
        mar.adopt(.mar)
        (mar.data.channels, mar.data.height, mar.data.width, mar.data.patch) = (16, 16, 16, 1)
        mar.data.classes = 1000
        (mar.network.embed, mar.network.heads, mar.network.dropout) = (embed, heads, 0.1)
        mar.stage.mar?.encoderDepth = depth
        mar.stage.mar?.decoderDepth = depth
        mar.stage.mar?.buffer = 64
        mar.stage.mar?.rounds = 64
        mar.head.diffusion?.width = headWidth
        mar.head.diffusion?.depth = headDepth
        (mar.run.labelsPerStep, mar.run.samplesPerLabel) = (64, 1)
        (mar.optimizer.schedule, mar.optimizer.learningRate, mar.optimizer.warmupSteps) = (.constant, 1e-4, 5000)
        (mar.optimizer.clip, mar.optimizer.ema) = (3, 0.9999)
        mar.run.steps = 200_000
        (mar.run.logEvery, mar.run.sampleEvery, mar.run.checkpointEvery) = (50, 2000, 2000)
        return mar
    }

    /// Latents of 256x256 images in the reference's sizes. What follows from samples of a label being a group is chosen to
    /// go with one large GPU.
    private static func imageNet(_ name: String, embed: Int, heads: Int, depth: Int) -> Configuration {
        var imageNet = Configuration()
        imageNet.preset = name
        (imageNet.data.channels, imageNet.data.height, imageNet.data.width, imageNet.data.patch) = (16, 16, 16, 1)
        imageNet.data.classes = 1000
        (imageNet.network.embed, imageNet.network.heads, imageNet.network.dropout) = (embed, heads, 0.1)
        imageNet.stage.label?.encoderDepth = depth
        imageNet.stage.label?.draftDepth = 6
        imageNet.stage.label?.buffer = 64
        imageNet.head.depth = depth
        imageNet.head.decoder?.sigmaMax = 1
        (imageNet.loss.radii, imageNet.loss.positives) = ([0.05, 0.2], 64)
        (imageNet.run.labelsPerStep, imageNet.run.samplesPerLabel) = (8, 16)
        (imageNet.optimizer.warmupSteps, imageNet.optimizer.learningRate, imageNet.optimizer.ema) = (5000, 2e-4, 0.9999)
        imageNet.run.steps = 200_000
        (imageNet.run.logEvery, imageNet.run.sampleEvery, imageNet.run.checkpointEvery) = (50, 2000, 2000)
        return imageNet
    }

    /// TransDiff in its published sizes, drawn with its factors of movement and noise.
    private static func transDiff(_ name: String, embed: Int, heads: Int, depth: Int) -> Configuration {
        var flow = imageNet(name, embed: embed, heads: heads, depth: depth)
        flow.adopt(.transDiff)
        if let scales = FlowDecoderHeadSettings.publishedScales(embed: embed, isMRAR: false) {
            flow.head.flowDecoder?.driftScale = scales.drift
            flow.head.flowDecoder?.noiseScale = scales.noise
        }
        (flow.run.labelsPerStep, flow.run.samplesPerLabel) = (64, 1)
        (flow.optimizer.schedule, flow.optimizer.learningRate, flow.optimizer.clip) = (.constant, 1e-4, 3)
        return flow
    }
}
