import DriftGPU

/// Drift-AR's head for single tokens: a token in one step from a prior whose deviation the entropy sets, trained by the drift loss.
public struct TokenDriftHeadSettings: TokenHeadKind {
    package static let kind = "drift"
    package static let stages = ["mar", "causal"]

    /// Blocks.
    public var depth = 3
    /// Width of the blocks.
    public var width = 128
    /// Samples of a token in a step, which drift together. Two, as another head may have, say little of what they come from.
    public var noises = 8
    /// Temperatures of the kernel, in units of the mean distance.
    public var radii: [Float] = [0.2, 1, 4]
    /// Standard deviation of the last layer's weights at the start; with 0 all samples of a token begin equal and stay together.
    public var lastLayerDeviation: Float = 0.1
    /// The prior's largest deviation.
    public var sigmaMax: Float = 0.5
    /// How steeply the deviation grows with the entropy.
    public var sigmaTau: Float = 2

    public init() {}

    package static var own: Set<String> { ["noises"] }
    package var made: Int { noises }
    package var modulated: Int { 1 }
    package func makeHead(_ configuration: Configuration) -> any Head { TokenDriftHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try requireTokenMLP()
        try require(noises > 1 && noises <= 256, "head noises \(noises): take 2 to 256")
        try require(
            !radii.isEmpty && radii.count <= 8 && radii.allSatisfy { $0 > 0 && $0.isFinite }, "head radii \(radii): take 1 to 8 numbers above 0")
        try require(lastLayerDeviation >= 0 && lastLayerDeviation.isFinite, "last-layer-deviation \(lastLayerDeviation): must be 0 or more")
        try require(sigmaMax >= 0 && sigmaMax.isFinite, "sigma-max \(sigmaMax): must be 0 or more")
        try require(sigmaTau > 0 && sigmaTau.isFinite, "sigma-tau \(sigmaTau): must be above 0")
    }
}

extension HeadSettings {
    /// The settings of the drift head of single tokens; nil where it is another. Setting them makes it the head.
    public var drift: TokenDriftHeadSettings? {
        get { own as? TokenDriftHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// One pass of a SimpleMLPAdaLN from a token of the prior, with the entropy in the place of the time. The reference has no such head.
package struct TokenDriftHead: TokenHead {
    package let shape: TokenHeadShape
    private let prior: SigmaMap
    /// Samples of a token in a step.
    package let noises: Int
    package let radii: [Float]
    /// G, images of a label in a step.
    package let imagesPerLabel: Int
    package let declarations: [ParameterDeclaration]
    private let mlp: TokenMLP

    private static let prefix = "token_drift.net"
    private static let token = "token_drift.enc_to_token_proj"

    /// `lastLayerDeviation`: of the last layer's weights at the start.
    package init(
        _ shape: TokenHeadShape, noises: Int = 8, radii: [Float] = [0.2, 1, 4], prior: SigmaMap = SigmaMap(),
        lastLayerDeviation deviation: Float = 0.1, imagesPerLabel: Int = 1
    ) {
        (self.shape, self.noises, self.radii, self.prior, self.imagesPerLabel) = (shape, noises, radii, prior, imagesPerLabel)
        mlp = TokenMLP(
            width: shape.width, depth: shape.depth, outputs: shape.tokenWidth, lastLayer: deviation == 0 ? .zeros : .normal(deviation))
        let prefix = Self.prefix + "."
        declarations =
            TokenMLP.embedding(prefix + "entropy_embed.mlp", 1, shape.width)
            + ParameterDeclaration.linear(prefix + "cond_embed", shape.conditionWidth, shape.width, .glorot)
            + ParameterDeclaration.linear(prefix + "input_proj", shape.tokenWidth, shape.width, .glorot) + mlp.declarations(prefix)
            + ParameterDeclaration.linear(Self.token, shape.conditionWidth, shape.tokenWidth, .glorot)
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: TokenDriftHeadSettings, _ configuration: Configuration) {
        self.init(
            TokenHeadShape(settings, configuration), noises: settings.noises, radii: settings.radii,
            prior: SigmaMap(maximum: settings.sigmaMax, tau: settings.sigmaTau), lastLayerDeviation: settings.lastLayerDeviation,
            imagesPerLabel: configuration.run.samplesPerLabel)
    }

    package var kind: String { TokenDriftHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }
    package var sigma: SigmaMap? { prior }

    /// The condition of the network [n, w] of z [n, D] and the entropy [n, 1].
    private func condition(z: Tensor, entropy: Tensor, _ net: ParameterScope) throws -> Tensor {
        try net.graph.add(TokenMLP.embed(entropy, net.scope("entropy_embed.mlp")), net.linear(z, "cond_embed"))
    }

    /// The prior's tokens [n G, C] of their mean [n, C], the entropy [n, 1] and noise [n G, C], the G of a row together.
    private func start(token: Tensor, entropy: Tensor, noise: Tensor, _ graph: Graph) throws -> Tensor {
        let x0 = try graph.prior(
            token: graph.reshape(token, [token.type.rows, 1, shape.tokenWidth]), entropy: entropy,
            noise: graph.reshape(noise, [noise.type.rows, 1, shape.tokenWidth]), prior)
        return try graph.reshape(x0, [noise.type.rows, shape.tokenWidth])
    }

    /// z [n, D], entropy [n], noise [n G, C] -> tokens [n G, C], the G of a row together.
    package func generate(z: Tensor, entropy: Tensor, noise: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let (graph, net) = (scope.graph, scope.scope(Self.prefix))
        let entropy = try graph.reshape(entropy, [z.type.rows, 1])
        let x0 = try start(token: scope.linear(z, Self.token), entropy: entropy, noise: noise, graph)
        return try mlp(net.linear(x0, "input_proj"), condition: condition(z: z, entropy: entropy, net), net)
    }

    // MARK: Training

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (z, targets) = try condition.rows(step, tokenWidth: shape.tokenWidth, graph)
        guard let entropy = condition.entropy, entropy.count == z.type.rows else { throw Self.needsEntropy }
        let (rows, size) = (z.type.rows, shape.tokenWidth)
        let noise = try graph.randomNormal([rows * noises, size], clock: step.clock)
        let generated = try generate(z: z, entropy: entropy, noise: noise, scope)
        // A group is a context: with others of its class in it, the loss would match what is true of the class and pass over z.
        let loss = try graph.driftLoss(
            graph.reshape(generated, [rows, noises, size]),
            targets: DriftTargets(positive: graph.reshape(targets, [rows, 1, size])), affinity: DriftAffinity(temperatures: radii))
        return HeadStep(losses: [LossTerm("drift", loss.loss)], watched: LossTerm.watching(loss, radii))
    }

    private static var needsEntropy: GraphError {
        GraphError("head drift: the stage gives no entropy of its tokens; have it compute one, or take the head energy")
    }

    // MARK: Drawing

    package var steps: Int { 1 }
    package var start: TokenNoise { TokenNoise(.normal, width: shape.tokenWidth) }
    package var drawsInSteps: Bool { false }

    /// z [n, D] and the entropy [n], with guidance twice as many rows -> of each row the condition [w], the mean of the prior [C] and
    /// the entropy [1].
    package func embed(z: Tensor, entropy: Tensor?, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        guard let entropy, entropy.count == z.type.rows else { throw Self.needsEntropy }
        let column = try scope.graph.reshape(entropy, [z.type.rows, 1])
        return try scope.graph.concat(
            [condition(z: z, entropy: column, scope.scope(Self.prefix)), scope.linear(z, Self.token), column], axis: 1)
    }

    package func table(_ scope: ParameterScope) throws -> Tensor? { nil }

    package func packed(_ scope: ParameterScope) throws -> Tensor? { try mlp.packed(scope.scope(Self.prefix)) }

    /// With guidance both halves start from the same noise. The temperature multiplies nothing: all that is random is the start.
    package func step(_ step: TokenStep, _ scope: ParameterScope) throws -> (x: Tensor, velocity: Tensor?) {
        let (graph, net) = (scope.graph, scope.scope(Self.prefix))
        let (width, end) = (shape.width, shape.width + shape.tokenWidth)
        let noise = try step.cfg == nil ? step.x : graph.concat([step.x, step.x], axis: 0)
        func part(_ range: Range<Int>) throws -> Tensor { try graph.slice(step.embedded, axis: 1, range) }
        let x0 = try start(token: part(width..<end), entropy: part(end..<(end + 1)), noise: noise, graph)
        let tokens = try mlp.draw(net.linear(x0, "input_proj"), condition: part(0..<width), weights: step.weights, net)
        return (try step.cfg.map { try graph.guidance(tokens, by: $0) } ?? tokens, nil)
    }
}
