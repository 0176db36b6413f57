/// Which way time runs along a flow.
public enum FlowTime: Sendable, Hashable {
    /// From noise (0) to data (1).
    case toData
    /// From data (0) to noise (1). The time is a whole number in 0 ..< `levels`. The velocity points to the noise.
    case toNoise(levels: Int)

    fileprivate var levels: Int {
        if case .toNoise(let levels) = self { levels } else { 0 }
    }
    /// Sign of data in the velocity.
    fileprivate var sign: Float { self == .toData ? 1 : -1 }
}

/// Tokens between noise and data. Inputs: x [m, C], noise [n, C], normal [n]. Outputs: t x + (1 - t) noise, and t = sigmoid(normal); to
/// noise (1 - t) x + t noise, t = floor(levels sigmoid(normal)) / levels, and levels t.
struct FlowNoised: Operation {
    let time: FlowTime

    var name: String { "flow_noised" }
    var inPlace: [(input: Int, output: Int)] { [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, noise, normal) = (inputs[0], inputs[1], inputs[2])
        guard x.rank == 2, noise.rank == 2, x.columns == noise.columns, normal.shape == [noise.rows], x.rows > 0,
            noise.rows.isMultiple(of: x.rows)
        else { throw GraphError("flow_noised: x \(x), noise \(noise), normal \(normal); [m, C], [n, C], [n] are needed, m dividing n") }
        return [noise, normal]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, noise) = (context.inputs[0], context.inputs[1])
        return [
            context.runLaunch(
                name, family: "flow", rows: noise.rows, width: noise.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .output(0), .output(1), .int(noise.rows), .int(x.rows), .int(x.columns),
                    .int(time.levels),
                ], traffic: Traffic(bytes: 8 * noise.count + 4 * x.count, flops: 4 * noise.count))
        ]
    }
}

/// A step along the flow. Inputs: x [n, C], velocity [n, C] (guided [2 n, C]), noise [n, C], step [3]; guided: cfg [1]. Outputs: the next x and,
/// where the noise's place is that of the velocity of the step before, this step's.
struct FlowStep: Operation {
    let temperature: Float
    let keepsVelocity: Bool

    var name: String { "flow_step" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (2, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, isGuided) = (inputs[0], inputs.count > 4)
        guard x.rank == 2, inputs[1].shape == [x.rows * (isGuided ? 2 : 1), x.columns], inputs[2] == x,
            inputs[3].count == FlowStepNumbers.count, !isGuided || inputs[4].count == 1
        else {
            throw GraphError(
                "flow_step: x \(x), velocity \(inputs[1]), noise \(inputs[2]), step \(inputs[3]); [n, C], [n, C] (guided [2 n, C]), [n, C], \(FlowStepNumbers.count) numbers and one for cfg are needed")
        }
        return keepsVelocity ? [x, x] : [x]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, isGuided) = (context.inputs[0], context.inputs.count > 4)
        return [
            context.runLaunch(
                name, family: "flow", rows: x.rows, width: x.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .input(isGuided ? 4 : 3), .output(0), .output(keepsVelocity ? 1 : 0),
                    .int(x.rows), .int(x.columns), .int(isGuided ? 1 : 0), .int(keepsVelocity ? 1 : 0), .float(temperature),
                ], traffic: Traffic(bytes: (16 + (isGuided ? 4 : 0) + (keepsVelocity ? 4 : 0)) * x.count, flops: 6 * x.count))
        ]
    }
}

/// What a step along a flow takes: x becomes a x + b v + c u, u being noise, or the velocity of the step before.
public struct FlowStepNumbers: Sendable, Hashable {
    public var x: Double
    public var velocity: Double
    /// c.
    public var other: Double

    public init(x: Double, velocity: Double, noise: Double) { (self.x, self.velocity, other) = (x, velocity, noise) }
    public init(x: Double, velocity: Double, before: Double) { (self.x, self.velocity, other) = (x, velocity, before) }

    /// Numbers of a step.
    public static let count = 3
    /// As the kernels take them [count].
    public var values: [Float] { [x, velocity, other].map { Float($0) } }
}

/// Mean squared error of a velocity. Inputs: velocity [n, C], x [m, C], noise [n, C]. Output [n].
struct FlowLoss: Operation {
    let time: FlowTime

    var name: String { "flow_loss" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (velocity, x) = (inputs[0], inputs[1])
        guard velocity.rank == 2, velocity == inputs[2], x.rank == 2, x.columns == velocity.columns, x.rows > 0,
            velocity.rows.isMultiple(of: x.rows)
        else { throw GraphError("flow_loss: velocity \(velocity), x \(x), noise \(inputs[2]); [n, C], [m, C], [n, C] are needed, m dividing n") }
        return [TensorType([velocity.rows])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dloss = gradients[0] else { return [nil, nil, nil] }
        return [try graph.apply(FlowLossGradient(time: time), [dloss] + node.inputs)[0], nil, nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (velocity, x) = (context.inputs[0], context.inputs[1])
        return [
            context.itemLaunch(
                "flow_loss_forward", family: "flow", items: velocity.rows, size: velocity.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .output(0), .int(velocity.rows), .int(x.rows), .int(x.columns), .float(time.sign),
                ],
                traffic: Traffic(bytes: 8 * velocity.count + 4 * x.count, flops: 4 * velocity.count))
        ]
    }
}

/// Inputs: dloss, then those of the forward.
struct FlowLossGradient: Operation {
    let time: FlowTime

    var name: String { "flow_loss_backward" }
    var inPlace: [(input: Int, output: Int)] { [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[1]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let (velocity, x) = (context.inputs[1], context.inputs[2])
        return [
            context.runLaunch(
                name, family: "flow", rows: velocity.rows, width: velocity.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(velocity.rows), .int(x.rows), .int(x.columns),
                    .float(time.sign),
                ], traffic: Traffic(bytes: 12 * velocity.count + 4 * x.count, flops: 3 * velocity.count))
        ]
    }
}

extension Graph {
    /// Tokens on the way from noise to data: t x + (1 - t) noise with t = sigmoid(normal), x [m, C], noise [n, C], normal [n] ->
    /// [n, C] and the times [n]; with time `toNoise` (1 - t) x + t noise, and the number of the level. Row r is made of x's row r % m: x
    /// is tiled, whole tile after tile. No gradient.
    public func flowNoised(_ x: Tensor, noise: Tensor, normal: Tensor, time: FlowTime = .toData) throws -> (noisy: Tensor, time: Tensor) {
        if case .toNoise(let levels) = time, levels < 1 { throw GraphError("flow_noised: \(levels) levels of time; give 1 or more") }
        let made = try apply(FlowNoised(time: time), x, noise, normal)
        return (made[0], made[1])
    }

    /// One step along a flow: `x` [n, C], the network's `velocity` for it [n, C], standard normal `noise` [n, C], `step` [3]
    /// (`FlowStepNumbers.values`) -> the next x. With `cfg` [1] the velocity is [2 n, C], rows of no label behind the others, and is
    /// guided. `temperature`: factor of the noise.
    public func flowStep(
        _ x: Tensor, velocity: Tensor, noise: Tensor, step: Tensor, cfg: Tensor? = nil, temperature: Float = 1
    ) throws -> Tensor {
        try apply(FlowStep(temperature: temperature, keepsVelocity: false), [x, velocity, noise, step] + (cfg.map { [$0] } ?? []))[0]
    }

    /// The same with the velocity of the step `before` [n, C] in the noise's place -> the next x and the velocity of this step, guided where
    /// there is a `cfg`.
    public func flowStep(
        _ x: Tensor, velocity: Tensor, before: Tensor, step: Tensor, cfg: Tensor? = nil
    ) throws -> (x: Tensor, velocity: Tensor) {
        let made = try apply(FlowStep(temperature: 1, keepsVelocity: true), [x, velocity, before, step] + (cfg.map { [$0] } ?? []))
        return (made[0], made[1])
    }

    /// The mean over the channels of (x - noise - velocity)^2, with time `toNoise` of (noise - x - velocity)^2, for each row [n]:
    /// `velocity` and `noise` [n, C], `x` [m, C], tiled as for `flowNoised`. The gradient reaches the velocity alone.
    public func flowLoss(_ velocity: Tensor, x: Tensor, noise: Tensor, time: FlowTime = .toData) throws -> Tensor {
        try apply(FlowLoss(time: time), velocity, x, noise)[0]
    }
}
