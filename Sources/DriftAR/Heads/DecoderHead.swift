import DriftGPU

/// The drift decoder and its prior.
public struct DecoderHeadSettings: HeadKind {
    package static let kind = "decoder"
    package static let stages = ["label"]
    package static let takesEncoder = true

    /// Blocks.
    public var depth = 3
    /// Standard deviation of the last layer's weights at the start; 0 is the reference's and collapses the classes.
    public var lastLayerDeviation: Float = 0.1
    /// The prior's largest deviation.
    public var sigmaMax: Float = 0.5
    /// How steeply the deviation grows with the entropy.
    public var sigmaTau: Float = 2

    public init() {}

    package func makeHead(_ configuration: Configuration) -> any Head { DecoderHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try require(configuration.stage.label?.entropy != false, "entropy false: the head decoder takes it; set stage.entropy to true")
        try require(depth > 0 && depth <= 256, "decoder-depth \(depth): take 1 to 256")
        try require(lastLayerDeviation >= 0 && lastLayerDeviation.isFinite, "last-layer-deviation \(lastLayerDeviation): must be 0 or more")
        try require(sigmaMax >= 0 && sigmaMax.isFinite, "sigma-max \(sigmaMax): must be 0 or more")
        try require(
            configuration.loss.groups == .samples || configuration.loss.features != .encoder,
            "features encoder: for samples groups; take --drift-groups samples")
        try require(sigmaTau > 0 && sigmaTau.isFinite, "sigma-tau \(sigmaTau): must be above 0")
    }
}

extension HeadSettings {
    /// The settings of the drift decoder; nil where it is another. Setting them makes it the head.
    public var decoder: DecoderHeadSettings? {
        get { own as? DecoderHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head of Drift-AR: a prior whose deviation the entropy sets, one pass of the drift decoder, and phi, by which images are
/// compared. Parameters have the names of the reference's state_dict.
package struct DecoderHead: Head {
    /// Sizes of the head.
    package struct Shape: Sendable, Hashable {
        /// R, tokens of an image.
        package var tokens: Int
        /// C, values of a token.
        package var tokenWidth: Int
        /// D, of the condition too.
        package var embed: Int
        package var heads: Int
        package var depth: Int
        package var mlpRatio: Float
        package var epsilon: Float
        package var sigmaMax: Float
        package var sigmaTau: Float
        package var lastLayerDeviation: Float
        /// The block of the encoder that phi starts as and stays.
        package var featureBlock: Int
        /// Whether phi reads its tokens through a projection of its own that is frozen with it, instead of through the
        /// trained `token_to_enc_proj`.
        package var hasFrozenProjection = false
        /// Tokens in a line of the image, by which the decoder's position embedding starts as sines and cosines. Nil: it starts
        /// as the reference's, so small that the prior's noise hides it for hundreds of steps.
        package var columns: Int?

        package init(
            tokens: Int, tokenWidth: Int, embed: Int, heads: Int, depth: Int, mlpRatio: Float, epsilon: Float, sigmaMax: Float,
            sigmaTau: Float, lastLayerDeviation: Float, featureBlock: Int
        ) {
            (self.tokens, self.tokenWidth, self.embed, self.heads, self.depth) = (tokens, tokenWidth, embed, heads, depth)
            (self.mlpRatio, self.epsilon, self.sigmaMax, self.sigmaTau) = (mlpRatio, epsilon, sigmaMax, sigmaTau)
            (self.lastLayerDeviation, self.featureBlock) = (lastLayerDeviation, featureBlock)
        }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        package var loss: LossSettings
        /// G, generated images of a label in a step.
        package var samplesPerLabel: Int
        package var classes: Int
        /// Of attention weights and projections.
        package var dropout: Float = 0
        /// Nil where images are compared by their values and phi alone.
        package var encoder: FrozenEncoder?

        package init(_ loss: LossSettings = LossSettings(), samplesPerLabel: Int = 1, classes: Int = 1) {
            (self.loss, self.samplesPerLabel, self.classes) = (loss, samplesPerLabel, classes)
        }
    }

    package let shape: Shape
    package let training: Training
    package let declarations: [ParameterDeclaration]
    private let block: AttentionBlock
    private let decoder: DriftDecoder

    package init(_ shape: Shape, _ training: Training = Training()) {
        (self.shape, self.training) = (shape, training)
        let hidden = Int(Float(shape.embed) * shape.mlpRatio)
        block = AttentionBlock(width: shape.embed, heads: shape.heads, hidden: hidden, epsilon: shape.epsilon)
        decoder = DriftDecoder(
            width: shape.embed, conditionWidth: shape.embed, tokenWidth: shape.tokenWidth, tokens: shape.tokens,
            heads: shape.heads, depth: shape.depth, hidden: hidden, epsilon: shape.epsilon,
            lastLayerDeviation: shape.lastLayerDeviation, columns: shape.columns)
        declarations = Self.declare(shape, block: block, decoder: decoder)
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: DecoderHeadSettings, _ configuration: Configuration) {
        let (data, network, loss) = (configuration.data, configuration.network, configuration.loss)
        var shape = Shape(
            tokens: data.tokens, tokenWidth: data.tokenWidth, embed: network.embed, heads: network.heads, depth: settings.depth,
            mlpRatio: network.mlpRatio, epsilon: network.layerNormEpsilon, sigmaMax: settings.sigmaMax,
            sigmaTau: settings.sigmaTau, lastLayerDeviation: settings.lastLayerDeviation,
            featureBlock: 2 * (configuration.stage.label?.encoderDepth ?? 1) - 2)
        let isSamples = loss.groups == .samples
        shape.hasFrozenProjection = isSamples && loss.features.havePhi
        shape.columns = isSamples ? data.width / data.patch : nil
        var training = Training(loss, samplesPerLabel: configuration.run.samplesPerLabel, classes: data.classes)
        training.dropout = network.dropout
        training.encoder = FrozenEncoder(configuration)
        self.init(shape, training)
    }

    private static func declare(_ shape: Shape, block: AttentionBlock, decoder: DriftDecoder) -> [ParameterDeclaration] {
        let width = shape.embed
        var list = decoder.declarations("drift_decoder.net.")
        list += ParameterDeclaration.linear("token_to_enc_proj", shape.tokenWidth, width)
        // The prior's mean belongs to what is frozen in the second phase: it follows z.
        list += ParameterDeclaration.linear("enc_to_token_proj", width, shape.tokenWidth).map { $0.trained(.firstPhase) }
        let prefix = "feature_encoder.block."
        var phi = block.declarations(prefix).map { declaration in
            ParameterDeclaration(
                declaration.name, declaration.shape,
                .copy("encoder_blocks.\(shape.featureBlock).\(declaration.name.dropFirst(prefix.count))"))
        }
        if shape.hasFrozenProjection {
            for (name, size) in [("weight", [width, shape.tokenWidth]), ("bias", [width])] {
                phi.append(.init("feature_encoder.proj." + name, size, .copy("token_to_enc_proj." + name)))
            }
        }
        return list + phi.map { $0.trained(.never) }
    }

    package var kind: String { DecoderHeadSettings.kind }
    package var sigma: SigmaMap? { map }
    private var map: SigmaMap { SigmaMap(maximum: shape.sigmaMax, tau: shape.sigmaTau) }

    // MARK: Decoder

    /// z [L, R, D], entropy [L, R], noise [L G, R, C] -> image tokens [L G, R, C]. `token` [L, R, C] is the mean of the prior,
    /// `enc_to_token_proj` of z where nil.
    package func generate(
        token: Tensor? = nil, z: Tensor, entropy: Tensor, noise: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let x0 = try scope.graph.prior(
            token: token ?? scope.linear(z, "enc_to_token_proj"), entropy: entropy, noise: noise, map)
        return try decoder(x0, z: z, entropy: entropy, scope.scope("drift_decoder.net"), dropout: dropout)
    }

    /// Both halves of classifier-free guidance in one decoder pass: z [L, R, D], entropy [L, R], those of no label [1, R, D]
    /// and [1, R], noise [L G, R, C] that both halves share, cfg [1] -> unconditional + cfg (conditional - unconditional)
    /// [L G, R, C]. `token` is the mean of the conditional half's prior.
    package func generateGuided(
        token: Tensor? = nil, z: Tensor, entropy: Tensor, unconditional: (z: Tensor, entropy: Tensor), noise: Tensor,
        cfg: Tensor, _ scope: ParameterScope
    ) throws -> Tensor {
        let graph = scope.graph
        let labels = z.shape[0]
        func prior(_ token: Tensor, _ entropy: Tensor) throws -> Tensor {
            try graph.prior(token: token, entropy: entropy, noise: noise, map)
        }
        func spread(_ x: Tensor) throws -> Tensor {
            try graph.reshape(graph.repeatEach(x, times: labels), [labels] + x.shape.dropFirst())
        }
        let x0 = try graph.concat(
            [
                prior(token ?? scope.linear(z, "enc_to_token_proj"), entropy),
                prior(scope.linear(unconditional.z, "enc_to_token_proj"), unconditional.entropy),
            ], axis: 0)
        let tokens = try decoder(
            x0, z: graph.concat([z, spread(unconditional.z)], axis: 0),
            entropy: graph.concat([entropy, spread(unconditional.entropy)], axis: 0), scope.scope("drift_decoder.net"))
        return try graph.guidance(tokens, by: cfg)
    }

    // MARK: Drawing

    package var guidesByCondition: Bool { true }

    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        let graph = scope.graph
        let (z, entropy) = try drawing.condition.encoded()
        guard let unconditional = drawing.unconditional else {
            return (try generate(z: drawing.merged ?? z, entropy: entropy, noise: drawing.noise, scope), [])
        }
        let cfg = try graph.input("sample_cfg", [1])
        // As the reference: under guidance the merged features shape the prior alone.
        let tokens = try generateGuided(
            token: drawing.merged.map { try scope.linear($0, "enc_to_token_proj") }, z: z, entropy: entropy,
            unconditional: unconditional.encoded(), noise: drawing.noise, cfg: cfg, scope)
        return (tokens, [DrawingGraph.Input(tensor: cfg) { _, cfg in [cfg] }])
    }

    // MARK: Features

    /// phi of each token: [B, R, C] -> [B, R, D]. Dropout never acts here, unlike in the reference.
    package func features(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor? { try phi(tokens, scope) }

    /// phi, which this head always has.
    package func phi(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let projection = shape.hasFrozenProjection ? "feature_encoder.proj" : "token_to_enc_proj"
        return try block(scope.linear(tokens, projection), scope.scope("feature_encoder.block")).output
    }
}
