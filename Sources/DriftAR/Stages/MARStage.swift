import DriftFormats
import DriftGPU

/// Masked autoregression: an encoder reads the known tokens; a decoder gives a condition z for each hidden one.
public struct MARStageSettings: StageKind {
    package static let kind = "mar"

    public var encoderDepth = 2
    public var decoderDepth = 2
    /// K, copies of the class embedding in front of the tokens.
    public var buffer = 4
    /// Least part of the tokens that training hides.
    public var maskMinimum = 0.7
    /// Of the normal law about 1 from which that part is drawn.
    public var maskDeviation = 0.25
    /// T, rounds of a drawing; 0: as many as an image has tokens.
    public var rounds = 0
    /// How the strength of guidance goes over the rounds.
    public var guidance = RoundSettings.Guidance.linear
    /// Which of the hidden tokens a round draws.
    public var order = RoundSettings.Order.random
    /// Factor of what is random in a token beside the noise it starts from.
    public var temperature: Float = 1
    /// Weight of minus the mean entropy in the loss, which drives it up; for heads that take the entropy.
    public var entropyWeight: Float = 0

    public init() {}

    package func makeStage(_ configuration: Configuration) -> any Stage { MARStage(self, configuration) }

    package func loop(_ configuration: Configuration) -> String {
        counted(rounds == 0 ? configuration.data.tokens : rounds, "round") + (order == .entropy ? " by entropy" : "")
            + (temperature == 1 ? "" : ", temperature \(temperature)")
    }

    package func validate(_ configuration: Configuration) throws {
        let tokens = configuration.data.tokens
        try require(encoderDepth > 0 && encoderDepth <= 256, "encoder-depth \(encoderDepth): take 1 to 256")
        try require(decoderDepth > 0 && decoderDepth <= 256, "stage.decoderDepth \(decoderDepth): take 1 to 256")
        try require(buffer > 0 && buffer <= 4096, "buffer \(buffer): take 1 to 4096")
        try require(maskMinimum > 0 && maskMinimum <= 1, "stage.maskMinimum \(maskMinimum): take a number above 0, up to 1")
        try require(maskDeviation >= 0 && maskDeviation.isFinite, "stage.maskDeviation \(maskDeviation): must be 0 or more")
        try require(rounds >= 0 && rounds <= tokens, "rounds \(rounds): an image of \(tokens) tokens is drawn in 1 to \(tokens), or 0 for all")
        try require(temperature >= 0 && temperature.isFinite, "temperature \(temperature): must be 0 or more")
        try require(entropyWeight >= 0 && entropyWeight.isFinite, "stage.entropyWeight \(entropyWeight): must be 0 or more")
        try require(
            entropyWeight == 0 || configuration.head.drift != nil,
            "stage.entropyWeight \(entropyWeight): no entropy enters the head \(configuration.head.kind); take 0, or the head drift")
    }
}

extension StageSettings {
    /// The settings of masked autoregression; nil where it is another stage. Setting them makes it the stage.
    public var mar: MARStageSettings? {
        get { own as? MARStageSettings }
        set { if let newValue { self = StageSettings(newValue) } }
    }
}

/// MAR's network (Li et al. 2024, "Autoregressive Image Generation without Vector Quantization"). Parameters have the names of the
/// reference's state_dict.
package struct MARStage: Stage {
    /// Sizes of the stage.
    package struct Shape: Sendable, Hashable {
        /// R, tokens of an image.
        package var tokens: Int
        /// C, values of a token.
        package var tokenWidth: Int
        /// D.
        package var embed: Int
        package var heads: Int
        package var encoderDepth: Int
        package var decoderDepth: Int
        /// K.
        package var buffer: Int
        package var classes: Int
        package var mlpRatio: Float
        package var epsilon: Float

        package init(
            tokens: Int, tokenWidth: Int, embed: Int, heads: Int, encoderDepth: Int, decoderDepth: Int, buffer: Int, classes: Int,
            mlpRatio: Float, epsilon: Float
        ) {
            (self.tokens, self.tokenWidth, self.embed, self.heads) = (tokens, tokenWidth, embed, heads)
            (self.encoderDepth, self.decoderDepth, self.buffer, self.classes) = (encoderDepth, decoderDepth, buffer, classes)
            (self.mlpRatio, self.epsilon) = (mlpRatio, epsilon)
        }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        /// Of attention weights and projections.
        package var dropout: Float = 0
        /// Part of the images trained without their label.
        package var labelDrop: Float = 0
        /// G, real images of a label in a step.
        package var imagesPerLabel = 1
        package var maskMinimum = 0.7
        package var maskDeviation = 0.25
        package var entropyWeight: Float = 0

        package init() {}
    }

    package let shape: Shape
    package let training: Training
    private let drawing: RoundSettings
    package let declarations: [ParameterDeclaration]
    private let block: AttentionBlock

    package init(_ shape: Shape, _ training: Training = Training(), _ drawing: RoundSettings? = nil) {
        (self.shape, self.training) = (shape, training)
        self.drawing = drawing ?? RoundSettings(rounds: shape.tokens)
        block = AttentionBlock(
            width: shape.embed, heads: shape.heads, hidden: Int(Float(shape.embed) * shape.mlpRatio), epsilon: shape.epsilon)
        declarations = Self.declare(shape, block)
    }

    /// The stage of these settings, beside what the other groups say.
    init(_ settings: MARStageSettings, _ configuration: Configuration) {
        let (data, network, run) = (configuration.data, configuration.network, configuration.run)
        var training = Training()
        (training.dropout, training.labelDrop, training.imagesPerLabel) = (network.dropout, run.labelDrop, run.samplesPerLabel)
        (training.maskMinimum, training.maskDeviation) = (settings.maskMinimum, settings.maskDeviation)
        training.entropyWeight = settings.entropyWeight
        self.init(
            Shape(
                tokens: data.tokens, tokenWidth: data.tokenWidth, embed: network.embed, heads: network.heads,
                encoderDepth: settings.encoderDepth, decoderDepth: settings.decoderDepth, buffer: settings.buffer,
                classes: data.classes, mlpRatio: network.mlpRatio, epsilon: network.layerNormEpsilon),
            training,
            RoundSettings(
                rounds: settings.rounds == 0 ? data.tokens : settings.rounds, guidance: settings.guidance,
                temperature: settings.temperature, order: settings.order))
    }

    private static func declare(_ shape: Shape, _ block: AttentionBlock) -> [ParameterDeclaration] {
        let (width, positions) = (shape.embed, shape.buffer + shape.tokens)
        func table(_ name: String, _ size: [Int]) -> ParameterDeclaration { .init(name, size, .normal(0.02)) }
        var list = [table("class_emb.weight", [shape.classes, width]), table("fake_latent", [1, width])]
        list += ParameterDeclaration.linear("z_proj", shape.tokenWidth, width, .glorot)
        list += ParameterDeclaration.layerNorm("z_proj_ln", width)
        list.append(table("encoder_pos_embed_learned", [1, positions, width]))
        for index in 0..<shape.encoderDepth { list += block.declarations("encoder_blocks.\(index).", weight: .glorot) }
        list += ParameterDeclaration.layerNorm("encoder_norm", width)
        list += ParameterDeclaration.linear("decoder_embed", width, width, .glorot)
        list += [table("mask_token", [1, 1, width]), table("decoder_pos_embed_learned", [1, positions, width])]
        for index in 0..<shape.decoderDepth { list += block.declarations("decoder_blocks.\(index).", weight: .glorot) }
        list += ParameterDeclaration.layerNorm("decoder_norm", width)
        list.append(table("diffusion_pos_embed_learned", [1, shape.tokens, width]))
        return list
    }

    package var kind: String { MARStageSettings.kind }
    package var encodesEachImage: Bool { true }
    package func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(label) }
    package var masking: TokenMasking? {
        TokenMasking(tokens: shape.tokens, minimum: training.maskMinimum, deviation: training.maskDeviation)
    }

    // MARK: Network

    /// Images some of whose tokens are known. B conditions are of b images, one after the other and then again: with guidance
    /// the second half are those of no label.
    package struct Known {
        /// [b R, C].
        package let tokens: Tensor
        /// Orders of the positions [B, R] int32.
        package let order: Tensor
        /// Where known tokens stand in the orders.
        package let range: Range<Int>

        package init(tokens: Tensor, order: Tensor, range: Range<Int>) { (self.tokens, self.order, self.range) = (tokens, order, range) }
    }

    /// Class embeddings [B, D]; a label whose `keeps` is below 1/2 gets `fake_latent`.
    package func embed(_ labels: Tensor, keeps: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.embedding(
            scope.parameter("class_emb.weight"), labels: labels, fake: scope.parameter("fake_latent"), uniform: keeps,
            dropProbability: 0.5)
    }

    /// Class embeddings [B, D] and what is known -> the encoder's rows [B, K + known, D]: the class's, then those of the known
    /// tokens by position.
    package func encode(
        _ embedding: Tensor, _ known: Known, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let graph = scope.graph
        let (batch, width, buffer) = (embedding.shape[0], shape.embed, shape.buffer)
        let positions = try scope.parameter("encoder_pos_embed_learned")
        let copies = try graph.reshape(graph.repeatEach(embedding, times: buffer), [batch, buffer, width])
        var x = try graph.addPeriodic(copies, graph.slice(positions, axis: 1, 0..<buffer))
        if !known.range.isEmpty {
            let rows = try graph.places(known.order, known.range, stride: shape.tokens, period: known.tokens.shape[0] / shape.tokens)
            let places = try graph.places(known.order, known.range, stride: 0, offset: buffer)
            let content = try graph.add(
                scope.linear(graph.gatherRows(known.tokens, rows), "z_proj"),
                graph.gatherRows(graph.reshape(positions, [buffer + shape.tokens, width]), places))
            x = try graph.concat([x, graph.reshape(content, [batch, known.range.count, width])], axis: 1)
        }
        x = try scope.layerNorm(x, "z_proj_ln", epsilon: shape.epsilon)
        for index in 0..<shape.encoderDepth {
            x = try block(x, scope.scope("encoder_blocks.\(index)"), dropout: dropout).output
        }
        return try scope.layerNorm(x, "encoder_norm", epsilon: shape.epsilon)
    }

    /// What the decoder makes of all positions of an image.
    package struct Decoded {
        /// [B (K + R), D], a row for each of the K copies of the class embedding and each position.
        let rows: Tensor
        /// The entropy [B, R] of each position's attention in the penultimate block, in units of log R; nil where nobody asked.
        package let entropy: Tensor?
    }

    /// The encoder's rows -> z [B, M, D] of the M positions that stand at `wanted` in the orders, by position; and, where it is
    /// asked for, their entropy [B, M].
    package func decode(
        _ encoded: Tensor, _ known: Known, wanted: Range<Int>, _ scope: ParameterScope, withEntropy: Bool = false,
        dropout: Dropout? = nil
    ) throws -> (z: Tensor, entropy: Tensor?) {
        let decoded = try decode(encoded, known, scope, withEntropy: withEntropy, dropout: dropout)
        return try select(wanted, of: known.order, from: decoded, scope)
    }

    /// The encoder's rows -> those of the decoder.
    package func decode(
        _ encoded: Tensor, _ known: Known, _ scope: ParameterScope, withEntropy: Bool, dropout: Dropout? = nil
    ) throws -> Decoded {
        let graph = scope.graph
        let (batch, width, buffer, tokens) = (encoded.shape[0], shape.embed, shape.buffer, shape.tokens)
        let embedded = try scope.linear(encoded, "decoder_embed")
        let mask = try graph.reshape(scope.parameter("mask_token"), [1, width])
        var content = try graph.repeatEach(mask, times: batch * tokens)
        content = try graph.reshape(content, [batch * tokens, width])
        var front = embedded
        if !known.range.isEmpty {
            front = try graph.slice(embedded, axis: 1, 0..<buffer)
            let kept = try graph.slice(embedded, axis: 1, buffer..<(buffer + known.range.count))
            content = try graph.scatterRows(
                graph.reshape(kept, [batch * known.range.count, width]),
                graph.places(known.order, known.range, stride: tokens), over: content)
        }
        var x = try graph.concat([front, graph.reshape(content, [batch, tokens, width])], axis: 1)
        x = try graph.addPeriodic(x, scope.parameter("decoder_pos_embed_learned"))
        var entropy: Tensor?
        for index in 0..<shape.decoderDepth {
            // One segment: neither the queries and keys nor the entropy's slopes have to be kept where blocks are recomputed.
            x = try graph.segment {
                let result = try block(x, scope.scope("decoder_blocks.\(index)"), dropout: dropout)
                if withEntropy, index == max(0, shape.decoderDepth - 2) {
                    entropy = try graph.fullSoftmaxEntropy(result.qkv, heads: shape.heads, buffer: buffer)
                }
                return result.output
            }
        }
        return Decoded(rows: try graph.reshape(x, [batch * (buffer + tokens), width]), entropy: entropy)
    }

    /// z [B, M, D] and the entropy [B, M] of the M positions that stand at `wanted` in the orders [B, R], by position.
    package func select(
        _ wanted: Range<Int>, of order: Tensor, from decoded: Decoded, _ scope: ParameterScope
    ) throws -> (z: Tensor, entropy: Tensor?) {
        let graph = scope.graph
        let (batch, width, buffer, tokens) = (order.shape[0], shape.embed, shape.buffer, shape.tokens)
        let entropy = try decoded.entropy.map { all in
            try graph.reshape(
                graph.gatherRows(graph.reshape(all, [batch * tokens, 1]), graph.places(order, wanted, stride: tokens)),
                [batch, wanted.count])
        }
        let rows = try graph.places(order, wanted, stride: buffer + tokens, offset: buffer)
        let x = try scope.layerNorm(graph.gatherRows(decoded.rows, rows), "decoder_norm", epsilon: shape.epsilon)
        let positions = try graph.reshape(scope.parameter("diffusion_pos_embed_learned"), [tokens, width])
        let z = try graph.add(x, graph.gatherRows(positions, graph.places(order, wanted, stride: 0)))
        return (try graph.reshape(z, [batch, wanted.count, width]), entropy)
    }

    // MARK: Training

    /// The first `masked` positions of an order are hidden. Whether an image loses its label is drawn for each image.
    package func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition {
        let graph = scope.graph
        let images = step.real.shape[0]
        guard let masked = step.masked else { throw GraphError("stage \(kind): a step of it hides tokens") }
        let order = try graph.input([images, shape.tokens], .int32, block: StepInputs.block)
        let keeps = try graph.input([images], block: StepInputs.block)
        let tokens = try graph.reshape(step.real, [images * shape.tokens, shape.tokenWidth])
        let known = Known(tokens: tokens, order: order, range: masked..<shape.tokens)
        let dropout = step.dropout(training.dropout)
        let encoded = try encode(embed(step.labels, keeps: keeps, scope), known, scope, dropout: dropout)
        let (z, entropy) = try decode(
            encoded, known, wanted: 0..<masked, scope, withEntropy: step.needsEntropy, dropout: dropout)
        let targets = try graph.reshape(
            graph.gatherRows(tokens, graph.places(order, 0..<masked, stride: shape.tokens)), [images, masked, shape.tokenWidth])
        let (count, tokensOfImage, drop) = (training.imagesPerLabel, shape.tokens, training.labelDrop)
        return Condition(
            labels: step.labels, z: z, entropy: entropy, targets: targets,
            inputs: [
                StepInput(tensor: order) { .ints($0.orders(tokens: tokensOfImage, perLabel: count)) },
                StepInput(tensor: keeps) { .floats($0.keepsLabel(perLabel: count, drop: drop)) },
            ])
    }

    package func penalties(_ condition: Condition, head: any Head, _ step: StepInputs, _ scope: ParameterScope) throws -> [LossTerm] {
        guard training.entropyWeight > 0, let entropy = condition.entropy else { return [] }
        return [LossTerm("entropy_loss", try scope.graph.scale(scope.graph.mean(entropy), by: -training.entropyWeight))]
    }

    // MARK: Drawing

    package func loop(_ head: any Head, _ context: SamplingContext) -> (any GenerationLoop)? {
        head.ofTokens.map { MaskedRounds(self, $0, drawing, context) }
    }

    package func graphs(
        ofLoopWith head: any Head, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph]? {
        try head.ofTokens.map { try MaskedRounds.graphs(self, $0, drawing, batches, weights) }
    }

    /// What is said of every token while none is known.
    package func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition {
        let graph = scope.graph
        let (count, tokens) = (labels.count, shape.tokens)
        let order = try graph.constant(
            "order_\(count)x\(tokens)", (0..<count).flatMap { _ in (0..<Int32(tokens)).map { $0 } }, [count, tokens])
        let known = Known(tokens: try graph.fill([count * tokens, shape.tokenWidth], with: 0), order: order, range: tokens..<tokens)
        let (z, entropy) = try decode(
            encode(embed(labels, keeps: drop, scope), known, scope), known, wanted: 0..<tokens, scope, withEntropy: true)
        return Condition(labels: labels, z: z, entropy: entropy)
    }
}
