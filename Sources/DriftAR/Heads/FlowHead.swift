import DriftGPU

/// NextStep-1's head: a small flow for each token.
public struct FlowHeadSettings: TokenHeadKind {
    package static let kind = "flow"
    package static let stages = ["mar", "causal"]

    /// Blocks.
    public var depth = 3
    /// Width of the blocks.
    public var width = 128
    /// How often a token is trained in a step, each time with another noise and time.
    public var noises = 4
    /// Steps of a drawing.
    public var steps = 50
    public var sampler = FlowSampler.sde
    public var ending = FlowSchedule.Ending.quiet
    /// Above 1 more of the steps lie at the noisy end.
    public var shift = 1.0

    public init() {}

    package var made: Int { noises }
    package var modulated: Int { noises }
    package func makeHead(_ configuration: Configuration) -> any Head { FlowHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try requireTokenMLP()
        try require(noises > 0 && noises <= 256, "head noises \(noises): take 1 to 256")
        try require((2...1000).contains(steps), "head steps \(steps): take 2 to 1000")
        try sampler.validate(configuration)
        try require(shift > 0 && shift.isFinite, "head shift \(shift): take a number above 0")
    }
}

extension HeadSettings {
    /// The settings of the flow head; nil where it is another. Setting them makes it the head.
    public var flow: FlowHeadSettings? {
        get { own as? FlowHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head of NextStep-1 (arXiv 2508.10711): for each token a flow from noise to data, whose velocity a SimpleMLPAdaLN as MAR's gives.
/// Times are of 0 ... 1 and enter the embedding as they are. Parameters have the names of the reference's state_dict.
package struct FlowHead: TokenHead {
    package let shape: TokenHeadShape
    /// How often a token is trained in a step.
    package let noises: Int
    /// G, images of a label in a step.
    package let imagesPerLabel: Int
    package let declarations: [ParameterDeclaration]
    private let net: TimedTokenMLP
    private let sampler: FlowSampler
    private let ending: FlowSchedule.Ending
    private let shift: Double
    package let steps: Int

    private static let prefix = "image_head.net"

    package init(
        _ shape: TokenHeadShape, noises: Int = 4, steps: Int = 50, sampler: FlowSampler = .sde, ending: FlowSchedule.Ending = .quiet,
        shift: Double = 1, imagesPerLabel: Int = 1
    ) {
        (self.shape, self.noises, self.steps, self.imagesPerLabel) = (shape, noises, steps, imagesPerLabel)
        (self.sampler, self.ending, self.shift) = (sampler, ending, shift)
        net = TimedTokenMLP(shape, outputs: shape.tokenWidth)
        declarations = net.declarations(Self.prefix + ".")
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: FlowHeadSettings, _ configuration: Configuration) {
        self.init(
            TokenHeadShape(settings, configuration), noises: settings.noises, steps: settings.steps, sampler: settings.sampler,
            ending: settings.ending, shift: settings.shift, imagesPerLabel: configuration.run.samplesPerLabel)
    }

    package var kind: String { FlowHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }

    /// The network: tokens x [n, C] on their way at `time` [n], with z [m, D], whose rows repeat, whole tile after tile -> velocity [n, C].
    package func network(_ x: Tensor, time: Tensor, z: Tensor, _ net: ParameterScope) throws -> Tensor {
        try self.net(x, time: TimedTokenMLP.embed(times: time, net), z: z, net)
    }

    // MARK: Training

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (z, targets) = try condition.rows(step, tokenWidth: shape.tokenWidth, graph)
        let rows = z.type.rows * noises
        let normal = try graph.randomNormal([rows], clock: step.clock)
        let noise = try graph.randomNormal([rows, shape.tokenWidth], clock: step.clock)
        let losses = try losses(z: z, targets: targets, noise: noise, normal: normal, scope).losses
        return HeadStep(losses: [LossTerm("flow", try graph.mean(losses))])
    }

    /// The loss of each row [n] and the times [n] for given noise [n, C] and standard normal numbers [n], whose sigmoids are the times:
    /// z [m, D] and targets [m, C] repeat, whole tile after tile.
    package func losses(
        z: Tensor, targets: Tensor, noise: Tensor, normal: Tensor, _ scope: ParameterScope
    ) throws -> (losses: Tensor, time: Tensor) {
        let (noisy, time) = try scope.graph.flowNoised(targets, noise: noise, normal: normal)
        let velocity = try network(noisy, time: time, z: z, scope.scope(Self.prefix))
        return (try scope.graph.flowLoss(velocity, x: targets, noise: noise), time)
    }

    // MARK: Drawing

    package var start: TokenNoise { TokenNoise(.normal, width: shape.tokenWidth) }
    package var drawsInSteps: Bool { sampler == .sde }
    package var keepsVelocity: Bool { sampler == .ode }

    /// z [n, D], with guidance [2 n, D] -> as many rows [.., w].
    package func embed(z: Tensor, entropy: Tensor?, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        try net.embed(z: z, scope.scope(Self.prefix))
    }

    /// Of each step the embedded time [w], then the step's numbers.
    package func table(_ scope: ParameterScope) throws -> Tensor? {
        let (graph, schedule) = (scope.graph, FlowSchedule(ending, steps: steps, shift: shift, sampler: sampler))
        let name = "\(sampler) \(ending.rawValue) \(steps) \(shift)"
        let times = try graph.constant("flow_times \(name)", schedule.times.map { Float($0) }, [steps])
        let numbers = try graph.constant(
            "flow_steps \(name)", schedule.numbers.flatMap(\.values), [steps, FlowStepNumbers.count])
        return try net.table(times: times, numbers: numbers, scope.scope(Self.prefix))
    }

    package func packed(_ scope: ParameterScope) throws -> Tensor? { try net.packed(scope.scope(Self.prefix)) }

    package func steps(_ drawing: TokenDrawing, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.tokenDiffusion(
            drawing.x, condition: drawing.embedded, table: drawing.table, weights: drawing.weights, shape: net.small(kind),
            places: drawing.places, noise: drawing.noise, tokens: drawing.tokens, imagesPerLabel: drawing.imagesPerLabel,
            cfg: drawing.cfg, temperature: drawing.temperature, kind: sampler == .ode ? .ode : .sde)
    }

    package func step(_ step: TokenStep, _ scope: ParameterScope) throws -> (x: Tensor, velocity: Tensor?) {
        let graph = scope.graph
        let (velocity, other, numbers) = try net.step(step, numbers: FlowStepNumbers.count, head: kind, scope.scope(Self.prefix))
        guard sampler == .sde else {
            return try graph.flowStep(step.x, velocity: velocity, before: other, step: numbers, cfg: step.cfg)
        }
        let x = try graph.flowStep(
            step.x, velocity: velocity, noise: other, step: numbers, cfg: step.cfg, temperature: step.temperature)
        return (x, nil)
    }
}
