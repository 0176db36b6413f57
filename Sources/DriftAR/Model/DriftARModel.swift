import DriftGPU

/// Drift-AR: label -> encoder -> z and entropy -> prior -> drift decoder -> image tokens. Parameters have the names of the
/// reference's state_dict.
public struct DriftARModel: Sendable {
    /// Sizes of the model.
    public struct Shape: Sendable, Hashable {
        /// R, tokens of an image.
        public var tokens: Int
        /// C, values of a token.
        public var tokenWidth: Int
        /// D.
        public var embed: Int
        public var heads: Int
        public var encoderDepth: Int
        public var decoderDepth: Int
        public var draftDepth: Int
        /// K.
        public var buffer: Int
        public var classes: Int
        public var mlpRatio: Float
        public var epsilon: Float
        public var sigmaMax: Float
        public var sigmaTau: Float
        public var lastLayerDeviation: Float
        /// Whether phi reads its tokens through a projection of its own that is frozen with it, instead of through the
        /// trained `token_to_enc_proj`.
        public var hasFrozenProjection: Bool
        /// Whether the draft starts as a copy of the encoder's first blocks and norm.
        public var startsDraftFromEncoder = true
        /// Tokens in a line of the image, by which the decoder's position embedding starts as sines and cosines. Nil: it starts
        /// as the reference's, so small that the prior's noise hides it for hundreds of steps.
        public var columns: Int?

        public init(
            tokens: Int, tokenWidth: Int, embed: Int, heads: Int, encoderDepth: Int, decoderDepth: Int, draftDepth: Int,
            buffer: Int, classes: Int, mlpRatio: Float, epsilon: Float, sigmaMax: Float, sigmaTau: Float,
            lastLayerDeviation: Float, hasFrozenProjection: Bool
        ) {
            self.tokens = tokens
            self.tokenWidth = tokenWidth
            self.embed = embed
            self.heads = heads
            self.encoderDepth = encoderDepth
            self.decoderDepth = decoderDepth
            self.draftDepth = draftDepth
            self.buffer = buffer
            self.classes = classes
            self.mlpRatio = mlpRatio
            self.epsilon = epsilon
            self.sigmaMax = sigmaMax
            self.sigmaTau = sigmaTau
            self.lastLayerDeviation = lastLayerDeviation
            self.hasFrozenProjection = hasFrozenProjection
        }

        public init(_ configuration: Configuration) {
            self.init(
                tokens: configuration.tokens, tokenWidth: configuration.tokenWidth, embed: configuration.embed,
                heads: configuration.heads, encoderDepth: configuration.encoderDepth,
                decoderDepth: configuration.decoderDepth, draftDepth: configuration.draftDepth,
                buffer: configuration.buffer, classes: configuration.classes, mlpRatio: configuration.mlpRatio,
                epsilon: configuration.layerNormEpsilon, sigmaMax: configuration.sigmaMax,
                sigmaTau: configuration.sigmaTau, lastLayerDeviation: configuration.lastLayerDeviation,
                hasFrozenProjection: configuration.groups == .samples && configuration.features != .pixels)
            startsDraftFromEncoder = configuration.draftInit == .encoder
            columns = configuration.groups == .samples ? configuration.width / configuration.patch : nil
        }
    }

    public let shape: Shape
    public let declarations: [ParameterDeclaration]
    public let layout: ParameterLayout
    let block: AttentionBlock
    let decoder: DriftDecoder
    let draft: DraftModel

    public init(_ shape: Shape) throws {
        self.shape = shape
        let hidden = Int(Float(shape.embed) * shape.mlpRatio)
        block = AttentionBlock(width: shape.embed, heads: shape.heads, hidden: hidden, epsilon: shape.epsilon)
        draft = DraftModel(block: block, depth: shape.draftDepth)
        decoder = DriftDecoder(
            width: shape.embed, conditionWidth: shape.embed, tokenWidth: shape.tokenWidth, tokens: shape.tokens,
            heads: shape.heads, depth: shape.decoderDepth, hidden: hidden, epsilon: shape.epsilon,
            lastLayerDeviation: shape.lastLayerDeviation, columns: shape.columns)
        declarations = Self.declare(shape, block: block, decoder: decoder, draft: draft)
        layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
    }

    private static func declare(
        _ shape: Shape, block: AttentionBlock, decoder: DriftDecoder, draft: DraftModel
    ) -> [ParameterDeclaration] {
        let width = shape.embed
        let encoderBlocks = 2 * shape.encoderDepth
        var list: [ParameterDeclaration] = [
            .init("fake_latent", [1, width], .normal(0.02)),
            .init("mask_token", [1, 1, width], .normal(0.02)),
            .init("encoder_pos_embed_learned", [1, shape.buffer + shape.tokens, width], .normal(0.02)),
            .init("diffusion_pos_embed_learned", [1, shape.tokens, width], .normal(0.02)),
            .init("class_emb.weight", [shape.classes, width], .normal(0.02)),
        ]
        list += ParameterDeclaration.linear("z_proj", shape.tokenWidth, width)
        list += ParameterDeclaration.layerNorm("z_proj_ln", width)
        for index in 0..<encoderBlocks { list += block.declarations("encoder_blocks.\(index).") }
        list += ParameterDeclaration.layerNorm("encoder_norm", width)
        list += draft.declarations("draft_model.", encoderBlocks: shape.startsDraftFromEncoder ? encoderBlocks : 0)
        list += decoder.declarations("drift_decoder.net.")
        list += ParameterDeclaration.linear("token_to_enc_proj", shape.tokenWidth, width)
        list += ParameterDeclaration.linear("enc_to_token_proj", width, shape.tokenWidth)
        let penultimate = encoderBlocks - 2
        list += block.declarations("feature_encoder.block.").map { declaration in
            let tail = declaration.name.dropFirst("feature_encoder.block.".count)
            return .init(declaration.name, declaration.shape, .copy("encoder_blocks.\(penultimate).\(tail)"))
        }
        if shape.hasFrozenProjection {
            for name in ["weight", "bias"] {
                let size = name == "weight" ? [width, shape.tokenWidth] : [width]
                list.append(.init("feature_encoder.proj." + name, size, .copy("token_to_enc_proj." + name)))
            }
        }
        return list
    }

    /// Parameters that never have a gradient: phi.
    public static func isFrozen(_ name: String) -> Bool { name.hasPrefix("feature_encoder.") }

    /// Parameters that phase II leaves alone: everything before the prior, and the draft.
    public static func isFrozenInSecondPhase(_ name: String) -> Bool {
        let prefixes = [
            "fake_latent", "mask_token", "encoder_pos_embed_learned", "diffusion_pos_embed_learned", "class_emb.",
            "z_proj", "encoder_blocks.", "encoder_norm.", "enc_to_token_proj.", "draft_model.",
        ]
        return isFrozen(name) || prefixes.contains { name.hasPrefix($0) }
    }

    /// The parameters that a phase trains.
    public func trained(isSecondPhase: Bool) -> [ParameterLayout.Entry] {
        layout.entries.filter { isSecondPhase ? !Self.isFrozenInSecondPhase($0.name) : !Self.isFrozen($0.name) }
    }

    // MARK: Encoder

    /// Class embeddings [L, D]; a label whose `drop.uniform` is below its probability gets `fake_latent`.
    public func embed(_ labels: Tensor, dropUniform: Tensor? = nil, dropProbability: Float = 0, _ scope: ParameterScope) throws -> Tensor {
        let table = try scope.parameter("class_emb.weight")
        guard let dropUniform else { return try scope.graph.embedding(table, labels: labels) }
        return try scope.graph.embedding(
            table, labels: labels, fake: scope.parameter("fake_latent"), uniform: dropUniform,
            dropProbability: dropProbability)
    }

    /// Class embeddings [L, D] -> z_AR [L, R, D] and the entropy map [L, R] of the penultimate block. `inspecting` is given what
    /// the entropy is made of: that block's packed query, key and value [L, K + R, 3 D].
    public func encode(
        _ embedding: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil, inspecting: (Tensor) throws -> Void = { _ in }
    ) throws -> (z: Tensor, entropy: Tensor) {
        let graph = scope.graph
        let (labels, width) = (embedding.shape[0], shape.embed)
        let copies = try graph.reshape(graph.repeatEach(embedding, times: shape.buffer), [labels, shape.buffer, width])
        let mask = try graph.reshape(scope.parameter("mask_token"), [1, width])
        let content = try graph.reshape(graph.repeatEach(mask, times: labels * shape.tokens), [labels, shape.tokens, width])
        var x = try graph.concat([copies, content], axis: 1)
        x = try graph.addPeriodic(x, scope.parameter("encoder_pos_embed_learned"))
        x = try scope.layerNorm(x, "z_proj_ln", epsilon: shape.epsilon)
        var entropy: Tensor?
        let depth = 2 * shape.encoderDepth
        for index in 0..<depth {
            let isPenultimate = index == depth - 2
            // One segment: neither the queries and keys nor the entropy's slopes have to be kept where blocks are recomputed.
            x = try graph.segment {
                let result = try block(
                    x, scope.scope("encoder_blocks.\(index)"), mask: isPenultimate ? .bufferCausal(shape.buffer) : .none,
                    dropout: dropout)
                if isPenultimate {
                    entropy = try graph.softmaxEntropy(result.qkv, heads: shape.heads, buffer: shape.buffer)
                    try inspecting(result.qkv)
                }
                return result.output
            }
        }
        guard let entropy else { throw GraphError("encoder: needs two blocks or more") }
        x = try scope.layerNorm(x, "encoder_norm", epsilon: shape.epsilon)
        x = try graph.slice(x, axis: 1, shape.buffer..<(shape.buffer + shape.tokens))
        return (try graph.addPeriodic(x, scope.parameter("diffusion_pos_embed_learned")), entropy)
    }

    // MARK: Decoder

    private var sigma: SigmaMap { SigmaMap(maximum: shape.sigmaMax, tau: shape.sigmaTau) }

    /// z [L, R, D], entropy [L, R], noise [L G, R, C] -> image tokens [L G, R, C]. `token` [L, R, C] is the mean of the prior,
    /// `enc_to_token_proj` of z where nil.
    public func generate(
        token: Tensor? = nil, z: Tensor, entropy: Tensor, noise: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let x0 = try scope.graph.prior(
            token: token ?? scope.linear(z, "enc_to_token_proj"), entropy: entropy, noise: noise, sigma)
        return try decoder(x0, z: z, entropy: entropy, scope.scope("drift_decoder.net"), dropout: dropout)
    }

    /// Both halves of classifier-free guidance in one decoder pass: z [L, R, D], entropy [L, R], those of no label [1, R, D]
    /// and [1, R], noise [L G, R, C] that both halves share, cfg [1] -> unconditional + cfg (conditional - unconditional)
    /// [L G, R, C]. `token` is the mean of the conditional half's prior.
    public func generateGuided(
        token: Tensor? = nil, z: Tensor, entropy: Tensor, unconditional: (z: Tensor, entropy: Tensor), noise: Tensor,
        cfg: Tensor, _ scope: ParameterScope
    ) throws -> Tensor {
        let graph = scope.graph
        let labels = z.shape[0]
        func prior(_ token: Tensor, _ entropy: Tensor) throws -> Tensor {
            try graph.prior(token: token, entropy: entropy, noise: noise, sigma)
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

    // MARK: Draft

    /// What the draft proposes for z [L, R, D]: features [L, R, D] and its own entropy map [L, R].
    public func propose(z: Tensor, _ scope: ParameterScope) throws -> (features: Tensor, entropy: Tensor) {
        try draft.propose(z, scope.scope("draft_model"))
    }

    /// L_reg (Eq. 3): the draft's prediction at r against z at r + shift; no gradient enters z.
    public func draftLoss(z: Tensor, shift: Int, _ scope: ParameterScope, dropout: Dropout? = nil) throws -> Tensor {
        let fixed = try scope.graph.detach(z)
        let prediction = try draft(fixed, scope.scope("draft_model"), dropout: dropout)
        return try scope.graph.smoothL1(prediction, fixed, shift: shift)
    }

    // MARK: Features

    /// phi of each token: [B, R, C] -> [B, R, D]. Dropout never acts here, unlike in the reference.
    public func features(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let projection = shape.hasFrozenProjection ? "feature_encoder.proj" : "token_to_enc_proj"
        return try block(scope.linear(tokens, projection), scope.scope("feature_encoder.block")).output
    }
}
