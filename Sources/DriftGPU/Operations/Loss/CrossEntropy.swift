/// Mean cross entropy of the softmax of logits [..., n] against labels. Inputs: logits, labels int32. Outputs: loss [1], and
/// for the gradient the logarithm of each row's sum of exponentials [rows].
struct CrossEntropy: Operation {
    var name: String { "cross_entropy" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank >= 1, inputs[1].element == .int32, inputs[1].count == inputs[0].rows, inputs[0].count > 0 else {
            throw GraphError("cross_entropy: logits \(inputs[0]) and labels \(inputs[1]); an int32 label a row is needed")
        }
        return [TensorType([1]), TensorType([inputs[0].rows])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dloss = gradients[0] else { return [nil, nil] }
        return [try graph.apply(CrossEntropyGradient(), node.inputs[0], node.inputs[1], node.outputs[1], dloss)[0], nil]
    }
    func scratch(_ context: LaunchContext) -> [TensorType] { [TensorType([context.inputs[0].rows])] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                "cross_entropy_rows", family: name, rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .output(1), .scratch(0), .int(x.rows), .int(x.columns)],
                traffic: Traffic(bytes: 4 * x.count, flops: 22 * x.count)),
            context.teamLaunch(
                "sum_all", family: "reduce", teams: 1,
                arguments: [.scratch(0), .output(0), .int(x.rows), .int(x.rows), .float(1 / Float(x.rows))],
                traffic: Traffic(bytes: 4 * x.rows, flops: x.rows)),
        ]
    }
}

/// dlogits. Inputs: logits, labels, normaliser [rows], dloss [1].
struct CrossEntropyGradient: Operation {
    var name: String { "cross_entropy_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                name, family: "cross_entropy", rows: x.rows, columns: x.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(x.rows), .int(x.columns),
                    .float(1 / Float(x.rows)),
                ], traffic: Traffic(bytes: 8 * x.count, flops: 22 * x.count))
        ]
    }
}

extension Graph {
    /// Mean over the rows of `logits` [..., n] of -log softmax at the row's label (int32), one element. A row whose label is
    /// out of range counts as 0 and has no gradient.
    public func crossEntropy(_ logits: Tensor, labels: Tensor) throws -> Tensor {
        try apply(CrossEntropy(), logits, labels)[0]
    }
}
