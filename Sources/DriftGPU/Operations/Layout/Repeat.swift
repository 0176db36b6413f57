/// y[o, g, ...] = x[o, ...] for g < group, o the first axis.
struct Repeat: Operation {
    let group: Int

    var name: String { "repeat" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard group > 0, let outer = inputs[0].shape.first else {
            throw GraphError("repeat: \(inputs[0]) \(group) times")
        }
        return [TensorType([outer, group] + inputs[0].shape.dropFirst(), inputs[0].element)]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.sumGroups($0) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let outer = context.inputs[0].shape[0]
        let inner = context.inputs[0].shape.dropFirst().reduce(1, *)
        return [
            context.runLaunch(
                "repeat_forward", family: "layout", rows: outer * group, width: inner, indices: outer * group,
                arguments: [.input(0), .output(0), .int(outer), .int(group), .int(inner)],
                traffic: Traffic(bytes: 4 * outer * inner * (1 + group)))
        ]
    }
}

/// y[o, ...] = sum over g of x[o, g, ...], in the order of g.
struct SumGroups: Operation {
    var name: String { "sum_groups" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank >= 2 else { throw GraphError("sum_groups: \(inputs[0]) has no second axis") }
        return [TensorType([inputs[0].shape[0]] + inputs[0].shape.dropFirst(2))]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.repeatEach($0, times: node.inputs[0].shape[1]) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let inner = shape.dropFirst(2).reduce(1, *)
        let lanes = context.traits.lanes
        return [
            context.itemLaunch(
                "repeat_backward", family: "layout", items: shape[0] * ((inner + lanes - 1) / lanes),
                size: lanes * shape[1], arguments: [.input(0), .output(0), .int(shape[0]), .int(shape[1]), .int(inner)],
                traffic: Traffic(bytes: 4 * shape[0] * inner * (1 + shape[1]), flops: shape[0] * inner * shape[1]))
        ]
    }
}

extension Graph {
    /// [L, ...] -> [L, times, ...], each entry of the first axis `times` times.
    public func repeatEach(_ x: Tensor, times: Int) throws -> Tensor { try apply(Repeat(group: times), x)[0] }

    /// [L, G, ...] -> [L, ...], the sum over the second axis.
    public func sumGroups(_ x: Tensor) throws -> Tensor {
        if x.shape.count >= 2 {
            let rest = Array(x.shape.dropFirst(2))
            if x.shape[1] == 1 { return try reshape(x, [x.shape[0]] + rest) }
            // One long sum: columnSum shares its rows among the teams, SumGroups only its columns.
            if x.shape[0] == 1 {
                return try reshape(columnSum(reshape(x, [x.shape[1], rest.reduce(1, *)])), [1] + rest)
            }
        }
        return try apply(SumGroups(), x)[0]
    }
}
