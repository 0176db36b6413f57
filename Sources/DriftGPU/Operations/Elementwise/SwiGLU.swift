/// y = silu(a) b for x = [a | b] along the last axis.
struct SwiGLU: Operation {
    var name: String { "swiglu" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].columns % 2 == 0 else { throw GraphError("swiglu: \(inputs[0]) has no two halves") }
        return [TensorType(Array(inputs[0].shape.dropLast()) + [inputs[0].columns / 2])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(SwiGLUGradient(), $0, node.inputs[0])[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let y = context.outputs[0]
        return [
            context.shareLaunch(
                "swiglu_forward", family: name, rows: y.rows, columns: y.columns,
                arguments: [.input(0), .output(0), .int(y.rows), .int(y.columns)],
                traffic: Traffic(bytes: 12 * y.count, flops: 20 * y.count))
        ]
    }
}

/// dx. Inputs: dy, x.
struct SwiGLUGradient: Operation {
    var name: String { "swiglu_backward" }
    var inPlace: [(input: Int, output: Int)] { [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[1]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let dy = context.inputs[0]
        return [
            context.shareLaunch(
                name, family: "swiglu", rows: dy.rows, columns: dy.columns,
                arguments: [.input(0), .input(1), .output(0), .int(dy.rows), .int(dy.columns)],
                traffic: Traffic(bytes: 20 * dy.count, flops: 30 * dy.count))
        ]
    }
}

extension Graph {
    /// silu(a) b, the halves of the last axis: [..., 2 n] -> [..., n] (SwiGLU).
    public func swiglu(_ x: Tensor) throws -> Tensor { try apply(SwiGLU(), x)[0] }
}
