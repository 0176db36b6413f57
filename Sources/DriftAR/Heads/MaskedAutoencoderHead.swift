import DriftData
import DriftGPU

/// A masked autoencoder of images, whose encoder's features images are compared by.
public struct MaskedAutoencoderHeadSettings: HeadKind {
    package static let kind = "masked-autoencoder"
    package static let stages = ["none"]

    /// Blocks of the encoder.
    public var depth = 4
    /// Blocks of the decoder, which training alone needs.
    public var decoderBlocks = 2
    /// Part of the tokens that are hidden from the encoder.
    public var maskRatio = 0.75

    public init() {}

    package func makeHead(_ configuration: Configuration) -> any Head { MaskedAutoencoderHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        let (data, network) = (configuration.data, configuration.network)
        try require(data.tokens >= 2, "patch \(data.patch): the head \(Self.kind) takes two tokens or more; take a smaller patch")
        try require(depth > 0 && depth <= 256, "head.depth \(depth): take 1 to 256")
        try require(decoderBlocks > 0 && decoderBlocks <= 256, "head decoderBlocks \(decoderBlocks): take 1 to 256")
        try require(maskRatio > 0 && maskRatio < 1, "head maskRatio \(maskRatio): take a number between 0 and 1")
        try require(network.dropout == 0, "dropout \(network.dropout): the head \(Self.kind) has none; take 0")
    }
}

extension HeadSettings {
    /// The settings of a masked autoencoder; nil where it is another head. Setting them makes it the head.
    public var maskedAutoencoder: MaskedAutoencoderHeadSettings? {
        get { own as? MaskedAutoencoderHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The masked autoencoder (arXiv 2111.06377): an encoder sees some of an image's tokens, a decoder says what the others are. Parameters have
/// the names of facebookresearch/mae. What is drawn is what it makes of noise, which is of no use.
package struct MaskedAutoencoderHead: Head {
    package let declarations: [ParameterDeclaration]
    private let settings: MaskedAutoencoderHeadSettings
    private let encoder: PatchEncoder
    /// R and C.
    private let tokens: Int
    private let tokenWidth: Int
    /// Tokens that are hidden.
    private let hidden: Int
    private let imagesPerLabel: Int

    init(_ settings: MaskedAutoencoderHeadSettings, _ configuration: Configuration) {
        let (data, network) = (configuration.data, configuration.network)
        self.settings = settings
        (tokens, tokenWidth, imagesPerLabel) = (data.tokens, data.tokenWidth, configuration.run.samplesPerLabel)
        hidden = min(data.tokens - 1, max(1, Int((Double(data.tokens) * settings.maskRatio).rounded())))
        let (width, columns) = (network.embed, data.width / data.patch)
        let encoder = PatchEncoder(
            tokens: data.tokens, tokenWidth: data.tokenWidth, columns: columns, embed: width, heads: network.heads,
            depth: settings.depth, mlpRatio: network.mlpRatio, epsilon: network.layerNormEpsilon)
        self.encoder = encoder
        var list = encoder.declarations + ParameterDeclaration.linear("decoder_embed", width, width, .glorot)
        list.append(.init("mask_token", [1, 1, width], .normal(0.02)))
        list.append(.init("decoder_pos_embed", [1, data.tokens, width], .position(columns: columns)))
        list += (0..<settings.decoderBlocks).flatMap { encoder.block.declarations("decoder_blocks.\($0).", weight: .glorot) }
        list += ParameterDeclaration.layerNorm("decoder_norm", width)
        declarations = list + ParameterDeclaration.linear("decoder_pred", width, data.tokenWidth, .glorot)
    }

    package var kind: String { MaskedAutoencoderHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }
    package var reconstructs: Bool { true }

    /// Tokens that the encoder sees, by where they stand in an order; the others are hidden.
    private var seen: Range<Int> { hidden..<tokens }

    /// Tokens [B, R, C] -> the encoder's rows [B, seen, D] of those that stand at `seen` in the orders [B, R], by position.
    private func encode(_ images: Tensor, order: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try encoder.attended(encoder.embedded(images, order: order, seen, scope), scope)
    }

    /// The encoder's rows -> what the hidden tokens are taken to be [B hidden, C], by position.
    private func restore(_ encoded: Tensor, order: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let (batch, width) = (encoded.shape[0], encoder.width)
        let embedded = try graph.reshape(scope.linear(encoded, "decoder_embed"), [batch * seen.count, width])
        let masks = try graph.reshape(
            graph.repeatEach(graph.reshape(scope.parameter("mask_token"), [1, width]), times: batch * tokens), [batch * tokens, width])
        let all = try graph.scatterRows(embedded, graph.places(order, seen, stride: tokens), over: masks)
        var x = try graph.addPeriodic(graph.reshape(all, [batch, tokens, width]), scope.parameter("decoder_pos_embed"))
        for index in 0..<settings.decoderBlocks { x = try encoder.block(x, scope.scope("decoder_blocks.\(index)")).output }
        let wanted = try graph.gatherRows(
            graph.reshape(x, [batch * tokens, width]), graph.places(order, 0..<hidden, stride: tokens))
        return try scope.linear(scope.layerNorm(wanted, "decoder_norm", epsilon: encoder.block.epsilon), "decoder_pred")
    }

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let order = try scope.graph.input([step.real.shape[0], tokens], .int32, block: StepInputs.block)
        let (count, perLabel) = (tokens, imagesPerLabel)
        return HeadStep(
            losses: [LossTerm("hidden", try loss(of: step.real, order: order, scope))],
            inputs: [StepInput(tensor: order) { .ints($0.orders(tokens: count, perLabel: perLabel)) }])
    }

    /// How far the hidden tokens of images [B, R, C] are from what they are restored to, [1]. The first of an order are hidden.
    func loss(of images: Tensor, order: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let batch = images.shape[0]
        let made = try restore(encode(images, order: order, scope), order: order, scope)
        let real = try graph.gatherRows(
            graph.reshape(images, [batch * tokens, tokenWidth]), graph.places(order, 0..<hidden, stride: tokens))
        let shape = [batch, hidden, tokenWidth]
        return try graph.smoothL1(graph.reshape(made, shape), graph.reshape(real, shape))
    }

    /// The same tokens of every image hidden and restored, the others as they are.
    package func reconstruct(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor? {
        let graph = scope.graph
        let batch = images.shape[0]
        let random = Philox(seed: 0)
        let one = StepPlan.order(tokens: tokens) { random.words(UInt32(truncatingIfNeeded: $0), 0, 0, StepPlan.Stream.order) }
        let order = try graph.constant("hidden_\(batch)x\(tokens)", (0..<batch).flatMap { _ in one }, [batch, tokens])
        let made = try restore(encode(images, order: order, scope), order: order, scope)
        let flat = try graph.reshape(images, [batch * tokens, tokenWidth])
        return try graph.reshape(graph.scatterRows(made, graph.places(order, 0..<hidden, stride: tokens), over: flat), images.shape)
    }

    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        guard let tokens = try reconstruct(drawing.noise, scope) else { throw GraphError("head \(kind): reconstructs nothing") }
        return (tokens, [])
    }

    /// What the encoder makes of all tokens [B, R, D].
    package func features(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor? {
        try encoder.attended(encoder.embedded(images, scope), scope)
    }
}
