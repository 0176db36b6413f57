import DriftGPU

/// The encoder from a label to z, and as Drift-AR has it the entropy and the draft that predicts z.
public struct LabelStageSettings: StageKind {
    package static let kind = "label"

    /// How the draft starts: as a copy of the encoder's first blocks and norm, or drawn like everything else.
    public enum DraftStart: String, Codable, Sendable, CaseIterable { case encoder, random }

    /// The encoder has twice as many blocks.
    public var encoderDepth = 2
    /// K, copies of the class embedding in front of the content tokens.
    public var buffer = 4
    /// Whether there are the entropy, a draft and the losses of both (Drift-AR); without, every block attends to all (TransDiff).
    public var entropy = true
    /// Encodes each distinct label once and shares z among its images; false encodes every image, as the reference does.
    public var encodeOnce = true
    public var draftDepth = 2
    /// Position of z the draft at r is trained on, relative to r: 0 is what the speculative loop verifies, 1 the reference.
    public var draftShift = 0
    public var draftInit = DraftStart.encoder
    /// The first weight of the stage's losses; the drift loss has the rest.
    public var alpha0 = 0.95
    /// Part of the steps after which the stage is frozen (phase II).
    public var freezeFraction = 0.8

    public init() {}

    package func makeStage(_ configuration: Configuration) -> any Stage { LabelStage(self, configuration) }

    package func phases(steps: Int) -> PhaseSchedule? {
        entropy ? PhaseSchedule(alpha0: alpha0, freezeFraction: freezeFraction, total: Double(steps)) : nil
    }

    package func validate(_ configuration: Configuration) throws {
        try require(encoderDepth > 0 && encoderDepth <= 256, "encoder-depth \(encoderDepth): take 1 to 256")
        try require(draftDepth > 0 && draftDepth <= 256, "draft-depth \(draftDepth): take 1 to 256")
        try require(buffer > 0 && buffer <= 4096, "buffer \(buffer): take 1 to 4096")
        try require(draftShift == 0 || draftShift == 1, "draft-shift \(draftShift): take 0 or 1")
        try require(
            draftShift < configuration.data.tokens,
            "draft-shift \(draftShift): an image of \(configuration.data.tokens) token has no next position")
        try require(alpha0 >= 0 && alpha0 <= 1, "alpha0 \(alpha0): take 0 to 1")
        try require(freezeFraction >= 0 && freezeFraction <= 1, "freeze-fraction \(freezeFraction): take 0 to 1")
    }
}

extension StageSettings {
    /// The settings of the label stage; nil where it is another. Setting them makes it the stage.
    public var label: LabelStageSettings? {
        get { own as? LabelStageSettings }
        set { if let newValue { self = StageSettings(newValue) } }
    }
}

/// The encoder of Drift-AR and its draft: label -> class embedding -> z and entropy; of TransDiff z alone. Parameters have the names of the reference's
/// state_dict.
package struct LabelStage: Stage {
    /// Sizes of the stage.
    package struct Shape: Sendable, Hashable {
        /// R, tokens of an image.
        package var tokens: Int
        /// C, values of a token.
        package var tokenWidth: Int
        /// D.
        package var embed: Int
        package var heads: Int
        /// Half the number of blocks.
        package var encoderDepth: Int
        package var draftDepth: Int
        /// K.
        package var buffer: Int
        package var classes: Int
        package var mlpRatio: Float
        package var epsilon: Float
        /// Whether the draft starts as a copy of the encoder's first blocks and norm.
        package var startsDraftFromEncoder = true
        /// Whether there are the entropy, which takes a causal mask in the block that has it, and a draft.
        package var hasEntropy = true

        package init(
            tokens: Int, tokenWidth: Int, embed: Int, heads: Int, encoderDepth: Int, draftDepth: Int, buffer: Int, classes: Int,
            mlpRatio: Float, epsilon: Float
        ) {
            (self.tokens, self.tokenWidth, self.embed, self.heads) = (tokens, tokenWidth, embed, heads)
            (self.encoderDepth, self.draftDepth, self.buffer, self.classes) = (encoderDepth, draftDepth, buffer, classes)
            (self.mlpRatio, self.epsilon) = (mlpRatio, epsilon)
        }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        /// Of attention weights and projections.
        package var dropout: Float = 0
        /// Part of the labels trained as unconditional.
        package var labelDrop: Float = 0
        /// The draft at r is trained on z at r + shift.
        package var draftShift = 0
        package var encodesEachImage = false

        package init() {}
    }

    package let shape: Shape
    package let training: Training
    package let declarations: [ParameterDeclaration]
    let block: AttentionBlock
    let draft: DraftModel

    package init(_ shape: Shape, _ training: Training = Training()) {
        (self.shape, self.training) = (shape, training)
        block = AttentionBlock(
            width: shape.embed, heads: shape.heads, hidden: Int(Float(shape.embed) * shape.mlpRatio), epsilon: shape.epsilon)
        draft = DraftModel(block: block, depth: shape.draftDepth)
        declarations = Self.declare(shape, block: block, draft: draft)
    }

    /// The stage of these settings, beside what the other groups say.
    init(_ settings: LabelStageSettings, _ configuration: Configuration) {
        let (data, network) = (configuration.data, configuration.network)
        var shape = Shape(
            tokens: data.tokens, tokenWidth: data.tokenWidth, embed: network.embed, heads: network.heads,
            encoderDepth: settings.encoderDepth, draftDepth: settings.draftDepth, buffer: settings.buffer,
            classes: data.classes, mlpRatio: network.mlpRatio, epsilon: network.layerNormEpsilon)
        shape.startsDraftFromEncoder = settings.draftInit == .encoder
        shape.hasEntropy = settings.entropy
        var training = Training()
        (training.dropout, training.labelDrop) = (network.dropout, configuration.run.labelDrop)
        (training.draftShift, training.encodesEachImage) = (settings.draftShift, !settings.encodeOnce)
        self.init(shape, training)
    }

    /// All of it is trained in the first phase alone.
    private static func declare(_ shape: Shape, block: AttentionBlock, draft: DraftModel) -> [ParameterDeclaration] {
        let width = shape.embed
        let encoderBlocks = 2 * shape.encoderDepth
        var list: [ParameterDeclaration] = [
            .init("fake_latent", [1, width], .normal(0.02)),
            .init("mask_token", [1, 1, width], .normal(0.02)),
            .init("encoder_pos_embed_learned", [1, shape.buffer + shape.tokens, width], .normal(0.02)),
            .init("diffusion_pos_embed_learned", [1, shape.tokens, width], .normal(0.02)),
            .init("class_emb.weight", [shape.classes, width], .normal(0.02)),
        ]
        // Kept for the reference's state_dict: it would take up known tokens, of which this stage has none.
        list += ParameterDeclaration.linear("z_proj", shape.tokenWidth, width)
        list += ParameterDeclaration.layerNorm("z_proj_ln", width)
        for index in 0..<encoderBlocks { list += block.declarations("encoder_blocks.\(index).") }
        list += ParameterDeclaration.layerNorm("encoder_norm", width)
        if shape.hasEntropy {
            list += draft.declarations("draft_model.", encoderBlocks: shape.startsDraftFromEncoder ? encoderBlocks : 0)
        }
        return list.map { $0.trained(.firstPhase) }
    }

    package var kind: String { LabelStageSettings.kind }
    package var hasEntropy: Bool { shape.hasEntropy }
    package var hasLosses: Bool { shape.hasEntropy }
    package var encodesEachImage: Bool { training.encodesEachImage }
    package func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(label) }

    // MARK: Encoder

    /// Class embeddings [L, D]; a label whose `drop.uniform` is below its probability gets `fake_latent`.
    package func embed(_ labels: Tensor, dropUniform: Tensor? = nil, dropProbability: Float = 0, _ scope: ParameterScope) throws -> Tensor {
        let table = try scope.parameter("class_emb.weight")
        guard let dropUniform else { return try scope.graph.embedding(table, labels: labels) }
        return try scope.graph.embedding(
            table, labels: labels, fake: scope.parameter("fake_latent"), uniform: dropUniform,
            dropProbability: dropProbability)
    }

    /// Class embeddings [L, D] -> z_AR [L, R, D] and the entropy map [L, R] of the penultimate block, where the stage has it.
    /// `inspecting` is given what the entropy is made of: that block's packed query, key and value [L, K + R, 3 D].
    package func encode(
        _ embedding: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil, inspecting: (Tensor) throws -> Void = { _ in }
    ) throws -> Condition {
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
            let isPenultimate = shape.hasEntropy && index == depth - 2
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
        guard entropy != nil || !shape.hasEntropy else { throw GraphError("encoder: needs two blocks or more") }
        x = try scope.layerNorm(x, "encoder_norm", epsilon: shape.epsilon)
        x = try graph.slice(x, axis: 1, shape.buffer..<(shape.buffer + shape.tokens))
        return Condition(labels: nil, z: try graph.addPeriodic(x, scope.parameter("diffusion_pos_embed_learned")), entropy: entropy)
    }

    // MARK: Draft

    /// What the draft proposes for z [L, R, D]: features [L, R, D] and its own entropy map [L, R].
    package func propose(z: Tensor, _ scope: ParameterScope) throws -> (features: Tensor, entropy: Tensor) {
        try draft.propose(z, scope.scope("draft_model"))
    }

    /// L_reg (Eq. 3): the draft's prediction at r against z at r + shift; no gradient enters z.
    package func draftLoss(z: Tensor, shift: Int, _ scope: ParameterScope, dropout: Dropout? = nil) throws -> Tensor {
        let fixed = try scope.graph.detach(z)
        let prediction = try draft(fixed, scope.scope("draft_model"), dropout: dropout)
        return try scope.graph.smoothL1(prediction, fixed, shift: shift)
    }

    // MARK: Training

    /// The second phase runs the frozen encoder in evaluation mode, and no gradient enters it. Which labels are dropped stays a
    /// property of the data: the head must go on learning the unconditional image, or guidance would drift away from it.
    package func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition {
        let graph = scope.graph
        let embedding = try embed(
            step.labels, dropUniform: training.labelDrop > 0 ? step.dropUniform : nil, dropProbability: training.labelDrop, scope)
        var condition = try encode(embedding, scope, dropout: step.isSecondPhase ? nil : step.dropout(training.dropout))
        condition.labels = step.labels
        if step.isSecondPhase {
            condition.z = try condition.z.map(graph.detach)
            condition.entropy = try condition.entropy.map(graph.detach)
        }
        return condition
    }

    /// L_reg, and the entropy loss: less the mean entropy.
    package func losses(of condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> [LossTerm] {
        guard shape.hasEntropy else { return [] }
        let (z, entropy) = try condition.encoded()
        return [
            LossTerm("regression", try draftLoss(z: z, shift: training.draftShift, scope, dropout: step.dropout(training.dropout))),
            // E_1 is 0, so the mean over all positions is the sum from 2 on over R.
            LossTerm("entropy_loss", try scope.graph.scale(scope.graph.mean(entropy), by: -1)),
        ]
    }

    // MARK: Drawing

    package func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition {
        var condition = try encode(embed(labels, dropUniform: drop, dropProbability: 0.5, scope), scope)
        condition.labels = labels
        return condition
    }

    package func storage(labels: Int) -> ConditionStorage? { ConditionStorage(labels: labels, shape) }
    package func encoder(_ context: SamplingContext) -> LabelEncoder? { LabelEncoder(self, context) }
    package func speculation(_ context: SamplingContext) -> SpeculativeLoop? { hasEntropy ? SpeculativeLoop(self, context) : nil }

    package func graphs(_ batches: [DrawingGraph.Size], _ weights: StoredWeights) throws -> [Graph] {
        try Set(batches.flatMap { DrawingGraph.Size.parts(of: $0.labels, limit: LabelEncoder.labelLimit) }).map {
            try LabelEncoder.graph(self, weights, labels: $0).graph
        }
    }

    package func speculativeGraphs(
        _ size: DrawingGraph.Size, _ settings: Speculation, _ weights: StoredWeights
    ) throws -> [Graph] {
        hasEntropy ? try SpeculativeLoop.graphs(self, weights, labels: size.labels, perLabel: size.perLabel, settings) : []
    }

    package func probe(_ context: SamplingContext, sigma: SigmaMap?) -> LabelProbe? {
        guard hasEntropy else { return nil }
        return sigma.map { LabelProbe(self, context, sigma: $0, shift: training.draftShift) }
    }
}

extension Condition {
    /// z and entropy, for a head that needs them.
    package func encoded() throws -> (z: Tensor, entropy: Tensor) {
        guard let z else { throw GraphError("condition: there is no z; take a stage that encodes") }
        guard let entropy else { throw GraphError("condition: there is no entropy; set stage.entropy to true, or take a head without a prior") }
        return (z, entropy)
    }

    /// The labels, for a head that needs them.
    func chosen() throws -> Tensor {
        guard let labels else { throw GraphError("condition: there are no labels") }
        return labels
    }
}
