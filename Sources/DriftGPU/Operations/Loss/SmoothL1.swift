/// Mean SmoothL1 (beta 1) of pred[:, r] against target[:, r + shift]. Inputs: pred, target [B, R, D]. No gradient reaches
/// the target.
struct SmoothL1: Operation {
    let shift: Int

    var name: String { "smooth_l1" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0] == inputs[1], inputs[0].rank == 3 else {
            throw GraphError("smooth_l1: pred \(inputs[0]), target \(inputs[1]); both [B, R, D] are needed")
        }
        guard shift >= 0, shift < inputs[0].shape[1], inputs[0].count > 0 else {
            throw GraphError("smooth_l1: nothing to compare in \(inputs[0]) shifted by \(shift)")
        }
        return [TensorType([1])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dloss = gradients[0] else { return [nil, nil] }
        return [try graph.apply(SmoothL1Gradient(shift: shift), node.inputs[0], node.inputs[1], dloss)[0], nil]
    }
    /// Parts of each image's sum.
    private func parts(_ context: LaunchContext) -> Int {
        let shape = context.inputs[0].shape
        let length = (shape[1] - shift) * shape[2]
        return max(1, min((length + 4095) / 4096, context.sumParts / max(shape[0], 1)))
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        [TensorType([context.inputs[0].shape[0] * parts(context)])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let parts = parts(context)
        let count = context.inputs[0].count
        return [
            context.rowLaunch(
                "smooth_l1_partial", family: "smooth_l1", rows: shape[0] * parts,
                indices: shape[1] * shape[2],
                arguments: [.input(0), .input(1), .scratch(0)] + shape.map(Argument.int) + [.int(shift), .int(parts)],
                traffic: Traffic(bytes: 8 * count, flops: 5 * count)),
            context.teamLaunch(
                "sum_all", family: "reduce", teams: 1,
                arguments: [
                    .scratch(0), .output(0), .int(shape[0] * parts), .int(shape[0] * parts),
                    .float(smoothL1Factor(shape, shift: shift)),
                ], traffic: Traffic(bytes: 4 * shape[0] * parts, flops: shape[0] * parts)),
        ]
    }
}

private func smoothL1Factor(_ shape: [Int], shift: Int) -> Float {
    Float(1 / (Double(shape[0]) * Double(shape[1] - shift) * Double(shape[2])))
}

/// dpred. Inputs: pred, target, dloss [1].
struct SmoothL1Gradient: Operation {
    let shift: Int

    var name: String { "smooth_l1_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let count = context.inputs[0].count
        return [
            context.rowLaunch(
                "smooth_l1_backward", family: "smooth_l1", rows: shape[0] * shape[1],
                arguments: [.input(0), .input(1), .input(2), .output(0)] + shape.map(Argument.int)
                    + [.int(shift), .float(smoothL1Factor(shape, shift: shift))],
                traffic: Traffic(bytes: 12 * count, flops: 3 * count))
        ]
    }
}

extension Graph {
    /// Mean SmoothL1 (beta 1) of `prediction` [B, R, D] at position r against `target` at r + `shift`, one element.
    public func smoothL1(_ prediction: Tensor, _ target: Tensor, shift: Int = 0) throws -> Tensor {
        try apply(SmoothL1(shift: shift), prediction, target)[0]
    }
}
