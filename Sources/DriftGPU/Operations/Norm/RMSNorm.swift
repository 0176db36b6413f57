/// y = x / sqrt(mean(x^2) + epsilon) over the last axis, times a weight where there is one. Inputs: x [..., D], and weight [D].
/// Outputs: y, and the reciprocal root of each row, which the gradient reads.
struct RMSNorm: Operation {
    let epsilon: Float
    let hasWeight: Bool

    var name: String { "rms_norm" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    private var weight: Int { hasWeight ? 1 : 0 }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard epsilon >= 0 else { throw GraphError("rms_norm: epsilon \(epsilon) is negative") }
        guard !hasWeight || inputs[1].shape == [inputs[0].columns] else {
            throw GraphError("rms_norm: weight \(inputs[1]) for \(inputs[0])")
        }
        return [inputs[0], TensorType([inputs[0].rows])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard gradients[1] == nil else { throw GraphError("rms_norm: rstd carries no gradient") }
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let result = try graph.apply(
            RMSNormGradient(hasWeight: hasWeight), [dy, node.inputs[0], node.outputs[1]] + node.inputs.dropFirst())
        return hasWeight ? [result[0], needs[1] ? try graph.columnSum(result[1]) : nil] : [result[0]]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                "rms_norm_forward", family: name, rows: x.rows, columns: x.columns,
                arguments: [
                    .input(0), .input(weight), .output(0), .output(1), .int(x.rows), .int(x.columns), .float(epsilon),
                    .int(hasWeight ? 1 : 0),
                ],
                traffic: Traffic(bytes: 8 * x.count, flops: (hasWeight ? 4 : 3) * x.count))
        ]
    }
}

/// Inputs: dy, x, rstd, and the weight. Outputs: dx, and with a weight each row's part of its gradient [rows, D].
struct RMSNormGradient: Operation {
    let hasWeight: Bool

    var name: String { "rms_norm_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        [inputs[1]] + (hasWeight ? [TensorType([inputs[1].rows, inputs[1].columns])] : [])
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[1]
        return [
            context.shareLaunch(
                name, family: "rms_norm", rows: x.rows, columns: x.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(hasWeight ? 3 : 0), .output(0), .output(hasWeight ? 1 : 0),
                    .int(x.rows), .int(x.columns), .int(hasWeight ? 1 : 0),
                ],
                traffic: Traffic(bytes: (hasWeight ? 16 : 12) * x.count, flops: (hasWeight ? 9 : 6) * x.count))
        ]
    }
}

extension Graph {
    /// x / sqrt(mean(x^2) + epsilon), rows of the last axis, times `weight` [D] where it is given.
    public func rmsNorm(_ x: Tensor, weight: Tensor? = nil, epsilon: Float) throws -> Tensor {
        try apply(RMSNorm(epsilon: epsilon, hasWeight: weight != nil), [x] + (weight.map { [$0] } ?? []))[0]
    }

    /// x / |x|, rows of the last axis. A row of zeros stays one.
    public func unitRows(_ x: Tensor) throws -> Tensor {
        let root = Float(x.type.columns).squareRoot()
        return try scale(rmsNorm(x, epsilon: 1e-24), by: 1 / root)
    }
}
