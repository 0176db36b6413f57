import DriftGPU

/// MAR's head: a small diffusion for each token.
public struct DiffusionHeadSettings: TokenHeadKind {
    package static let kind = "diffusion"
    package static let stages = ["mar", "causal"]

    /// Blocks.
    public var depth = 3
    /// Width of the blocks.
    public var width = 128
    /// How often a token is trained in a step, each time with another noise and time.
    public var noises = 4
    /// Steps of a drawing.
    public var steps = 100
    /// Largest value that a step of a drawing takes a clean token to have; 0: any, as the reference. Its first step multiplies what
    /// the network is wrong by with hundreds, which a network trained for minutes does not survive.
    public var limit: Float = 5

    public init() {}

    package var made: Int { noises }
    package var modulated: Int { noises }
    package func makeHead(_ configuration: Configuration) -> any Head { DiffusionHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        try requireTokenMLP()
        try require(noises > 0 && noises <= 256, "head noises \(noises): take 1 to 256")
        try require((2...DiffusionSchedule.trainingSteps).contains(steps), "head steps \(steps): take 2 to \(DiffusionSchedule.trainingSteps)")
        try require(limit >= 0 && limit.isFinite, "head limit \(limit): must be 0 (none) or more")
    }
}

extension HeadSettings {
    /// The settings of the diffusion head; nil where it is another. Setting them makes it the head.
    public var diffusion: DiffusionHeadSettings? {
        get { own as? DiffusionHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head of MAR (arXiv 2406.11838): for each token a diffusion of its own, whose network is a SimpleMLPAdaLN. Parameters have the
/// names of the reference's state_dict.
package struct DiffusionHead: TokenHead {
    package let shape: TokenHeadShape
    /// How often a token is trained in a step.
    package let noises: Int
    /// G, images of a label in a step.
    package let imagesPerLabel: Int
    package let steps: Int
    /// Largest value of a clean token in a drawing; 0: any.
    package let limit: Float
    package let declarations: [ParameterDeclaration]
    private let net: TimedTokenMLP
    /// Of the drawing.
    private let schedule: DiffusionSchedule

    private static let prefix = "diffloss.net"

    package init(_ shape: TokenHeadShape, noises: Int = 4, steps: Int = 100, limit: Float = 0, imagesPerLabel: Int = 1) {
        (self.shape, self.noises, self.steps, self.limit, self.imagesPerLabel) = (shape, noises, steps, limit, imagesPerLabel)
        net = TimedTokenMLP(shape, outputs: 2 * shape.tokenWidth)
        schedule = DiffusionSchedule(steps: steps)
        // The reference decays nothing of it.
        declarations = net.declarations(Self.prefix + ".").map { $0.undecayed() }
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: DiffusionHeadSettings, _ configuration: Configuration) {
        self.init(
            TokenHeadShape(settings, configuration), noises: settings.noises, steps: settings.steps, limit: settings.limit,
            imagesPerLabel: configuration.run.samplesPerLabel)
    }

    package var kind: String { DiffusionHeadSettings.kind }
    package var needs: StepNeeds { StepNeeds(imagesPerLabel: imagesPerLabel) }

    // MARK: Network

    /// Times of training [n] -> [n, w]: of more rows than there are times, each time is embedded once.
    func embedTrainingTimes(_ times: Tensor, _ net: ParameterScope) throws -> Tensor {
        let (graph, steps) = (net.graph, DiffusionSchedule.trainingSteps)
        guard times.count > steps else { return try TimedTokenMLP.embed(times: times, net) }
        let all = try graph.constant("training_times", (0..<steps).map(Float.init), [steps])
        return try graph.gatherRows(TimedTokenMLP.embed(times: all, net), graph.whole(times))
    }

    /// The network: noisy tokens x [n, C] at `time` [n], whole numbers below `trainingSteps`, with z [m, D], whose rows repeat, whole
    /// tile after tile -> noise and the number of the variance [n, 2 C]. `net` is the scope of its parameters.
    package func network(_ x: Tensor, time: Tensor, z: Tensor, _ net: ParameterScope) throws -> Tensor {
        try self.net(x, time: embedTrainingTimes(time, net), z: z, net)
    }

    // MARK: Training

    package func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
        let graph = scope.graph
        let (z, targets) = try condition.rows(step, tokenWidth: shape.tokenWidth, graph)
        let rows = z.type.rows * noises
        let time = try graph.randomWhole(below: DiffusionSchedule.trainingSteps, [rows], clock: step.clock)
        let noise = try graph.randomNormal([rows, shape.tokenWidth], clock: step.clock)
        let (_, mse, bound) = try losses(z: z, targets: targets, noise: noise, time: time, scope.scope(Self.prefix))
        return HeadStep(
            losses: [LossTerm("diffusion", try graph.mean(graph.add(mse, bound)))],
            watched: [LossTerm("mse", try graph.mean(mse)), LossTerm("variational_bound", try graph.mean(bound))])
    }

    /// The loss of each row at given times [n] and noise [n, C]: z [m, D] and targets [m, C] repeat, whole tile after tile. The noisy
    /// tokens [n, C], the squared error of the noise [n] and the term of the variational bound [n], whose sum is the loss.
    package func losses(
        z: Tensor, targets: Tensor, noise: Tensor, time: Tensor, _ net: ParameterScope
    ) throws -> (noisy: Tensor, mse: Tensor, bound: Tensor) {
        let graph = net.graph
        let times = try DiffusionTimes(graph, name: "diffusion_times", rows: DiffusionSchedule.training.rows)
        let noisy = try graph.diffusionNoised(targets, noise: noise, time: time, times)
        let output = try network(noisy, time: time, z: z, net)
        let parts = try graph.diffusionLoss(output, x: targets, noise: noise, time: time, times)
        return (noisy, parts.mse, parts.bound)
    }

    // MARK: Drawing

    package var start: TokenNoise { TokenNoise(.normal, width: shape.tokenWidth) }
    package var drawsInSteps: Bool { true }

    /// z [n, D], with guidance [2 n, D] -> as many rows [.., w].
    package func embed(z: Tensor, entropy: Tensor?, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor {
        try net.embed(z: z, scope.scope(Self.prefix))
    }

    /// Of each step the embedded time [w], then the numbers of the schedule; the noisiest step first.
    package func table(_ scope: ParameterScope) throws -> Tensor? {
        let (graph, order) = (scope.graph, schedule.times.indices.reversed())
        let times = try graph.constant("drawing_times \(steps)", order.map { Float(schedule.times[$0]) }, [steps])
        let numbers = try graph.constant(
            "drawing_steps \(steps)", order.flatMap { schedule.numbers($0).values }, [steps, DiffusionStepNumbers.count])
        return try net.table(times: times, numbers: numbers, scope.scope(Self.prefix))
    }

    package func packed(_ scope: ParameterScope) throws -> Tensor? { try net.packed(scope.scope(Self.prefix)) }

    package func steps(_ drawing: TokenDrawing, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.tokenDiffusion(
            drawing.x, condition: drawing.embedded, table: drawing.table, weights: drawing.weights, shape: net.small(kind),
            places: drawing.places, noise: drawing.noise, tokens: drawing.tokens, imagesPerLabel: drawing.imagesPerLabel,
            cfg: drawing.cfg, temperature: drawing.temperature, limit: limit)
    }

    package func step(_ step: TokenStep, _ scope: ParameterScope) throws -> (x: Tensor, velocity: Tensor?) {
        let (output, noise, numbers) = try net.step(step, numbers: DiffusionStepNumbers.count, head: kind, scope.scope(Self.prefix))
        let x = try scope.graph.diffusionStep(
            step.x, output: output, noise: noise, step: numbers, cfg: step.cfg, temperature: step.temperature, limit: limit)
        return (x, nil)
    }
}
