import DriftGPU

/// A KL autoencoder that is trained on the images themselves.
public struct AutoencoderHeadSettings: HeadKind {
    package static let kind = "autoencoder"
    package static let stages = ["none"]
    package static let takesEncoder = true

    /// Residual blocks of a level of the encoder; the decoder has one more.
    public var depth = 1
    /// Channels of the first level.
    public var width = 32
    /// Channels of each level over `width`; each level but the last halves the image.
    public var multipliers = [1, 2, 4]
    /// Channels of a latent.
    public var latentChannels = 4
    /// Weight of the divergence of the posterior from the standard normal, in nats for each value of the images.
    public var divergenceWeight: Float = 1e-3
    /// Weight of the L1 distance of gradients beside that of pixels.
    public var gradientWeight: Float = 1
    /// Scales at which gradients are compared, each half as fine as the one before.
    public var gradientScales = 3
    /// Weight of the distance of what a feature encoder makes of the images, where there is one.
    public var featureWeight: Float = 1

    public init() {}

    package func makeHead(_ configuration: Configuration) -> any Head { AutoencoderHead(self, configuration) }

    /// The sizes of the autoencoder.
    func shape(channels: Int) -> VAE.Shape {
        var shape = VAE.Shape()
        (shape.imageChannels, shape.width, shape.multipliers, shape.blocks) = (channels, width, multipliers, depth)
        (shape.innerChannels, shape.latentChannels) = (latentChannels, latentChannels)
        // The middle alone attends: at every block of the last level attention costs more than it gives at these sizes.
        shape.encoderAttention = []
        return shape
    }

    package func validate(_ configuration: Configuration) throws {
        let data = configuration.data
        try require(!data.areLatents, "head autoencoder: takes pictures of 1 or 3 channels, not latents")
        try require(data.patch == 1, "patch \(data.patch): the head autoencoder takes pixels; take 1")
        let shape = shape(channels: data.channels)
        try shape.validate()
        try shape.check(height: data.height, width: data.width)
        try require(
            latentChannels <= data.channels * shape.factor * shape.factor,
            "head latentChannels \(latentChannels): more numbers than the images have; take at most \(data.channels * shape.factor * shape.factor)")
        try require(divergenceWeight >= 0 && divergenceWeight.isFinite, "head divergenceWeight \(divergenceWeight): must be 0 or more")
        try require(gradientWeight >= 0 && gradientWeight.isFinite, "head gradientWeight \(gradientWeight): must be 0 or more")
        try require(
            !configuration.loss.features.havePhi,
            "features \(configuration.loss.features.rawValue): the head autoencoder has no phi; take pixels or a feature encoder")
        try require(featureWeight >= 0 && featureWeight.isFinite, "head featureWeight \(featureWeight): must be 0 or more")
        try require((1...8).contains(gradientScales), "head gradientScales \(gradientScales): take 1 to 8")
    }
}

extension HeadSettings {
    /// The settings of an autoencoder in training; nil where it is another head. Setting them makes it the head.
    public var autoencoder: AutoencoderHeadSettings? {
        get { own as? AutoencoderHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// A KL autoencoder as a head: it is trained to give back the images of a step, and draws by decoding latents from the standard normal.
/// Parameters have the names of latent diffusion's checkpoints.
///
/// The loss is the L1 distance of pixels and of their gradients at several scales (a perceptual term that needs no other network), the
/// distance in the features of an encoder where there is one, and the posterior's divergence from the standard normal (arXiv 1312.6114).
package struct AutoencoderHead: Head {
    package let vae: VAE
    package let settings: AutoencoderHeadSettings
    package let declarations: [ParameterDeclaration]
    private let encoder: FrozenEncoder?
    private let height: Int
    private let width: Int
    /// Images of a label in a step.
    private let imagesPerLabel: Int

    /// The head of these settings, beside what the other groups say.
    init(_ settings: AutoencoderHeadSettings, _ configuration: Configuration) {
        let data = configuration.data
        vae = VAE(checked: settings.shape(channels: data.channels))
        self.settings = settings
        encoder = FrozenEncoder(configuration)
        (height, width) = (data.height, data.width)
        imagesPerLabel = configuration.run.samplesPerLabel
        declarations = vae.encoderDeclarations + vae.decoderDeclarations
    }

    package var kind: String { AutoencoderHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }
    package var reconstructs: Bool { true }

    /// [z, h, w].
    private var latentShape: [Int] { [vae.shape.latentChannels, height / vae.shape.factor, width / vae.shape.factor] }

    /// Tokens of one pixel [B, H W, C] -> pixels of channels [B, H, W, C].
    private func pixels(_ tokens: Tensor, _ graph: Graph) throws -> Tensor {
        try graph.reshape(tokens, [tokens.shape[0], height, width, vae.shape.imageChannels])
    }

    private func tokens(_ pixels: Tensor, _ graph: Graph) throws -> Tensor {
        try graph.reshape(pixels, [pixels.shape[0], height * width, vae.shape.imageChannels])
    }

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        try loss(of: pixels(step.real, scope.graph), eps: scope.graph.randomNormal([step.real.shape[0]] + latentShape, clock: step.clock), scope)
    }

    /// The loss of images [B, H, W, C] whose latents are drawn by `eps` [B, z, h, w].
    func loss(of real: Tensor, eps: Tensor, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let moments = try vae.moments(ofPixels: real, scope)
        let made = try vae.pixels(ofLatents: graph.posterior(moments: moments, eps: eps), scope)
        let difference = try graph.add(made, graph.scale(real, by: -1))
        let distance = try graph.sum(graph.totalVariation(difference, absolute: 1, variation: 0), factor: 1 / Float(real.count))
        let nats = try graph.sum(graph.gaussianDivergence(moments), factor: 1 / Float(real.count))
        var losses = [LossTerm("l1", distance)]
        if settings.gradientWeight > 0 {
            losses.append(LossTerm("gradient", try graph.scale(gradientDistance(difference, graph), by: settings.gradientWeight)))
        }
        if let encoder, settings.featureWeight > 0 {
            let (vectors, wanted) = try (encoder.vectors(of: tokens(made, graph), in: graph), encoder.vectors(of: tokens(real, graph), in: graph))
            let distances = try zip(vectors, wanted).map { try graph.smoothL1($0, $1) }
            let mean = try graph.scale(Self.total(distances, graph), by: 1 / Float(distances.count))
            losses.append(LossTerm("feature", try graph.scale(mean, by: settings.featureWeight)))
        }
        if settings.divergenceWeight > 0 { losses.append(LossTerm("kl", try graph.scale(nats, by: settings.divergenceWeight))) }
        return HeadStep(losses: losses, watched: [LossTerm("nats", nats)])
    }

    /// The mean over scales of the mean absolute difference of neighbours in the difference of two images.
    private func gradientDistance(_ difference: Tensor, _ graph: Graph) throws -> Tensor {
        var (x, area) = (difference, 1)
        var distances: [Tensor] = []
        for scale in 0..<settings.gradientScales {
            if scale > 0 {
                guard x.shape[1].isMultiple(of: 2), x.shape[2].isMultiple(of: 2) else { break }
                (x, area) = (try graph.sumPixels(x), area * 4)
            }
            // Sums of squares of pixels stand for their means.
            let factor = 1 / (Float(x.count) * Float(area))
            distances.append(try graph.sum(graph.totalVariation(x, absolute: 0, variation: 1), factor: factor))
        }
        return try graph.scale(Self.total(distances, graph), by: 1 / Float(distances.count))
    }

    /// The sum of one or more tensors of one shape.
    private static func total(_ terms: [Tensor], _ graph: Graph) throws -> Tensor {
        try terms.dropFirst().reduce(terms[0]) { try graph.add($0, $1) }
    }

    /// The posterior's mean decoded.
    package func reconstruct(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor? {
        let graph = scope.graph
        let moments = try vae.moments(ofPixels: pixels(tokens, graph), scope)
        let means = try graph.slice(moments, axis: 1, 0..<vae.shape.latentChannels)
        return try self.tokens(vae.pixels(ofLatents: means, scope), graph)
    }

    /// Latents of the standard normal decoded. An image has more noise than a latent takes.
    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        let graph = scope.graph
        let images = drawing.noise.shape[0]
        let flat = try graph.reshape(drawing.noise, [images, drawing.noise.count / images])
        let latents = try graph.reshape(graph.slice(flat, axis: 1, 0..<latentShape.reduce(1, *)), [images] + latentShape)
        return (try tokens(vae.pixels(ofLatents: latents, scope), graph), [])
    }
}
