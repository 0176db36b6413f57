import DriftGPU

/// EAR's head: a token in one step, trained by the energy score.
public struct EnergyHeadSettings: TokenHeadKind {
    package static let kind = "energy"
    package static let stages = ["mar", "causal"]

    /// Blocks.
    public var depth = 3
    /// Width of the blocks.
    public var width = 128
    /// How often a token is trained in a step, each time with another pair of samples.
    public var noises = 2
    /// Factor of the distance between the two samples. 1 is the proper score; a little less gives sharper samples.
    public var repulsion: Float = 1

    public init() {}

    package var made: Int { 2 * noises }
    package var modulated: Int { 2 * noises }
    package func makeHead(_ configuration: Configuration) -> any Head { EnergyHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try requireTokenMLP()
        try require(noises > 0 && noises <= 256, "head noises \(noises): take 1 to 256")
        try require(repulsion >= 0 && repulsion <= 1, "repulsion \(repulsion): take 0 to 1")
    }
}

extension HeadSettings {
    /// The settings of the energy head; nil where it is another. Setting them makes it the head.
    public var energy: EnergyHeadSettings? {
        get { own as? EnergyHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head of EAR (github.com/shaochenze/EAR): one pass of a SimpleMLPAdaLN whose stream is the condition and whose adaLN takes the noise.
/// Parameters have the names of the reference's state_dict.
package struct EnergyHead: TokenHead {
    package let shape: TokenHeadShape
    /// Random numbers of a row.
    package let noiseWidth: Int
    /// How often a token is trained in a step.
    package let noises: Int
    package let repulsion: Float
    /// G, images of a label in a step.
    package let imagesPerLabel: Int
    package let declarations: [ParameterDeclaration]
    private let mlp: TokenMLP

    private static let prefix = "scoreloss.net"

    package init(_ shape: TokenHeadShape, noiseWidth: Int = 64, noises: Int = 2, repulsion: Float = 1, imagesPerLabel: Int = 1) {
        (self.shape, self.noiseWidth, self.noises) = (shape, noiseWidth, noises)
        (self.repulsion, self.imagesPerLabel) = (repulsion, imagesPerLabel)
        mlp = TokenMLP(width: shape.width, depth: shape.depth, outputs: shape.tokenWidth)
        let prefix = Self.prefix + "."
        declarations =
            ParameterDeclaration.linear(prefix + "noise_embed", noiseWidth, shape.width, .glorot)
            + ParameterDeclaration.linear(prefix + "input_proj", shape.conditionWidth, shape.width, .glorot) + mlp.declarations(prefix)
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: EnergyHeadSettings, _ configuration: Configuration) {
        self.init(
            TokenHeadShape(settings, configuration), noises: settings.noises, repulsion: settings.repulsion, imagesPerLabel: configuration.run.samplesPerLabel)
    }

    package var kind: String { EnergyHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }

    /// z [m, D] or what `embed` makes of it [m, w], noise [n, noiseWidth] in [-1/2, 1/2) -> tokens [n, C]; the rows of z repeat, whole
    /// tile after tile. `temperature` is 1 in training, and `weights`, which are `packed`, have no gradient.
    package func generate(
        z: Tensor? = nil, embedded: Tensor? = nil, noise: Tensor, temperature: Float = 1, weights: Tensor? = nil, _ scope: ParameterScope
    ) throws -> Tensor {
        let (graph, net) = (scope.graph, scope.scope(Self.prefix))
        guard var x = try embedded ?? z.map({ try net.linear($0, "input_proj") }), noise.type.rows.isMultiple(of: x.type.rows) else {
            throw GraphError("head energy: no condition for noise \(noise.type); its rows must divide the noise's")
        }
        let tiles = noise.type.rows / x.type.rows
        if tiles > 1 {
            let tiled = try graph.repeatEach(graph.reshape(x, [1, x.count]), times: tiles)
            x = try graph.reshape(tiled, [noise.type.rows, shape.width])
        }
        return try mlp.draw(x, condition: net.linear(noise, "noise_embed"), weights: weights, net, temperature: temperature)
    }

    // MARK: Training

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (z, targets) = try condition.rows(step, tokenWidth: shape.tokenWidth, graph)
        let rows = z.type.rows * noises
        let noise = try start.draw(2 * rows, clock: step.clock, graph)
        let samples = try graph.reshape(generate(z: z, noise: noise, scope), [2, rows, shape.tokenWidth])
        let (score, distances) = try graph.energyScore(samples, targets: targets, repulsion: repulsion)
        let means = try graph.columnSum(graph.scale(distances, by: 1 / Float(rows)))
        return HeadStep(
            losses: [LossTerm("energy", try graph.mean(score))],
            watched: [LossTerm(names: ["distance_1", "distance_2", "distance_12"], means)])
    }

    // MARK: Drawing

    package var steps: Int { 1 }
    package var start: TokenNoise { TokenNoise(.uniform, width: noiseWidth) }
    package var drawsInSteps: Bool { false }

    /// z [n, D], with guidance [2 n, D] -> [n, w]: guidance acts on z, so the head runs once.
    package func embed(z: Tensor, entropy: Tensor?, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        let guided = try cfg.map { try scope.graph.guidance(z, by: $0) } ?? z
        return try scope.scope(Self.prefix).linear(guided, "input_proj")
    }

    package func table(_ scope: ParameterScope) throws -> Tensor? { nil }

    package func packed(_ scope: ParameterScope) throws -> Tensor? { try mlp.packed(scope.scope(Self.prefix)) }

    package func step(_ step: TokenStep, _ scope: ParameterScope) throws -> (x: Tensor, velocity: Tensor?) {
        (try generate(embedded: step.embedded, noise: step.x, temperature: step.temperature, weights: step.weights, scope), nil)
    }
}
