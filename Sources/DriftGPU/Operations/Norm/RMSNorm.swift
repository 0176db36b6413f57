/// y = x / sqrt(mean(x^2) + epsilon) over the last axis. Outputs: y, and the reciprocal root of each row, which the gradient
/// reads.
struct RMSNorm: Operation {
    let epsilon: Float

    var name: String { "rms_norm" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard epsilon >= 0 else { throw GraphError("rms_norm: epsilon \(epsilon) is negative") }
        return [inputs[0], TensorType([inputs[0].rows])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard gradients[1] == nil else { throw GraphError("rms_norm: rstd carries no gradient") }
        return [try gradients[0].map { try graph.apply(RMSNormGradient(), $0, node.inputs[0], node.outputs[1])[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                "rms_norm_forward", family: name, rows: x.rows, columns: x.columns,
                arguments: [.input(0), .output(0), .output(1), .int(x.rows), .int(x.columns), .float(epsilon)],
                traffic: Traffic(bytes: 8 * x.count, flops: 3 * x.count))
        ]
    }
}

/// dx. Inputs: dy, x, rstd.
struct RMSNormGradient: Operation {
    var name: String { "rms_norm_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[1]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[1]
        return [
            context.shareLaunch(
                name, family: "rms_norm", rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .input(2), .output(0), .int(x.rows), .int(x.columns)],
                traffic: Traffic(bytes: 12 * x.count, flops: 6 * x.count))
        ]
    }
}

extension Graph {
    /// x / sqrt(mean(x^2) + epsilon), rows of the last axis.
    public func rmsNorm(_ x: Tensor, epsilon: Float) throws -> Tensor {
        try apply(RMSNorm(epsilon: epsilon), x)[0]
    }

    /// x / |x|, rows of the last axis. A row of zeros stays one.
    public func unitRows(_ x: Tensor) throws -> Tensor {
        let root = Float(x.type.columns).squareRoot()
        return try scale(rmsNorm(x, epsilon: 1e-24), by: 1 / root)
    }
}
