/// Flat storage is divided into blocks of this many floats; every parameter starts on one.
public let optimizerBlock = 64

/// What a block's flag says.
public struct OptimizerFlags: OptionSet, Sendable, Hashable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    /// Weight decay applies.
    public static let decay = OptimizerFlags(rawValue: 1)
    /// The block is trained.
    public static let active = OptimizerFlags(rawValue: 2)
}

/// The norm of the gradient's active blocks, and whether the step counts. Inputs: gradient, flags [blocks] int32, loss [1],
/// counters [2] uint32 {applied, skipped}. Output [3]: norm, clip coefficient, 1 when norm and loss are finite.
struct GradientNorm: Operation {
    let maxNorm: Float

    var name: String { "gradient_norm" }
    var mutatedInputs: [Int] { [3] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try checkBlocks(inputs[0], flags: inputs[1], name)
        guard inputs[2].count == 1, inputs[3] == TensorType([2], .uint32) else {
            throw GraphError("gradient_norm: loss \(inputs[2]), counters \(inputs[3]); [1] and [2] uint32 are needed")
        }
        return [TensorType([3])]
    }
    private func parts(_ context: LaunchContext) -> Int { max(1, min(context.sumParts, context.inputs[1].count)) }
    func scratch(_ context: LaunchContext) -> [TensorType] { [TensorType([parts(context)])] }
    func commands(_ context: LaunchContext) -> [Command] {
        let blocks = context.inputs[1].count
        let parts = parts(context)
        return [
            context.rowLaunch(
                "gradient_norm_partial", family: "optimizer", rows: parts,
                arguments: [.input(0), .input(1), .scratch(0), .int(blocks), .int(parts)],
                traffic: Traffic(bytes: 4 * blocks * optimizerBlock, flops: 2 * blocks * optimizerBlock)),
            context.teamLaunch(
                "gradient_norm_forward", family: "optimizer", teams: 1,
                arguments: [.scratch(0), .input(2), .output(0), .input(3), .int(parts), .float(maxNorm)]),
        ]
    }
}

/// One step of AdamW and of the weights' EMA. Inputs: parameters, gradient, first moment, second moment, flags, norm state
/// [3], counters [2], learning rate [1], and the EMA where there is one.
struct AdamWStep: Operation {
    let settings: AdamW
    let averages: Bool

    var name: String { "adamw" }
    var mutatedInputs: [Int] { averages ? [0, 2, 3, 8] : [0, 2, 3] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let flat = [inputs[0], inputs[1], inputs[2], inputs[3]] + (averages ? [inputs[8]] : [])
        for type in flat { try checkBlocks(type, flags: inputs[4], name) }
        guard inputs[5] == TensorType([3]), inputs[6] == TensorType([2], .uint32), inputs[7].count == 1 else {
            throw GraphError("adamw: state \(inputs[5]), counters \(inputs[6]), learning rate \(inputs[7])")
        }
        return []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let blocks = context.inputs[4].count
        let count = blocks * optimizerBlock
        return [
            context.elementLaunch(
                "adamw_forward", family: "optimizer", count: count,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .input(averages ? 8 : 0), .input(4), .input(5),
                    .input(6), .input(7), .int(blocks), .float(Float(1 - settings.beta1)),
                    .float(Float(1 - settings.beta2)), .float(Float(settings.epsilon)),
                    .float(Float(settings.weightDecay)), .float(averages ? Float(1 - settings.averageDecay) : 0),
                ], traffic: Traffic(bytes: (averages ? 36 : 28) * count, flops: 20 * count))
        ]
    }
}

private func checkBlocks(_ type: TensorType, flags: TensorType, _ name: String) throws {
    guard flags.element == .int32, type.element == .float32, type.count == flags.count * optimizerBlock else {
        throw GraphError("\(name): flat storage \(type) with flags \(flags); a flag for each block of \(optimizerBlock) floats is needed")
    }
}

/// AdamW with decoupled weight decay, clipping of the gradient's norm, and an EMA of the weights.
public struct AdamW: Sendable, Hashable {
    // Double, so that 1 - beta and 1 - averageDecay keep their digits.
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var epsilon = 1e-8
    public var weightDecay = 0.02
    /// 0: no clipping.
    public var maxNorm = 2.0
    /// 1: the EMA stays where it is, and is not touched.
    public var averageDecay = 0.9999

    public init() {}

    /// Tensors of one optimizer: the flat storages of one `ParameterLayout`.
    public struct State: Sendable {
        public let parameters: Tensor
        public let gradient: Tensor
        public let firstMoment: Tensor
        public let secondMoment: Tensor
        /// EMA of the parameters.
        public let average: Tensor?
        /// [blocks] int32, as `ParameterLayout.flags` makes them.
        public let flags: Tensor
        /// [2] uint32: steps applied, steps skipped because loss or norm was not finite.
        public let counters: Tensor
        /// [1].
        public let learningRate: Tensor

        public init(
            parameters: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor, average: Tensor?,
            flags: Tensor, counters: Tensor, learningRate: Tensor
        ) {
            self.parameters = parameters
            self.gradient = gradient
            self.firstMoment = firstMoment
            self.secondMoment = secondMoment
            self.average = average
            self.flags = flags
            self.counters = counters
            self.learningRate = learningRate
        }
    }
}

extension Graph {
    /// One optimizer step in place; it leaves everything as it is and counts a skipped step when `loss` [1] or the norm of the
    /// gradient is not finite. Call it after the gradients have been placed. Returns [3]: norm before clipping, clip
    /// coefficient, 1 when applied.
    @discardableResult
    public func step(_ settings: AdamW, _ state: AdamW.State, loss: Tensor) throws -> Tensor {
        let norm = try apply(
            GradientNorm(maxNorm: Float(settings.maxNorm)), state.gradient, state.flags, loss, state.counters)[0]
        var inputs = [
            state.parameters, state.gradient, state.firstMoment, state.secondMoment, state.flags, norm, state.counters,
            state.learningRate,
        ]
        if let average = state.average { inputs.append(average) }
        _ = try apply(AdamWStep(settings: settings, averages: state.average != nil), inputs)
        return norm
    }
}
