/// y[r, j] = a[r, j] + b[j]: b fits the last elements of a and repeats.
struct AddPeriodic: Operation {
    var name: String { "add_periodic" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[1].count > 0, inputs[0].count.isMultiple(of: inputs[1].count) else {
            throw GraphError("add_periodic: \(inputs[1]) does not repeat in \(inputs[0])")
        }
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil, nil] }
        guard needs[1] else { return [dy, nil] }
        let period = node.inputs[1].count
        return [dy, try graph.sumGroups(graph.reshape(dy, [1, dy.count / period, period]))]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let period = context.inputs[1].count
        let rows = context.inputs[0].count / period
        return [
            context.runLaunch(
                "add_periodic_forward", family: "elementwise", rows: rows, width: period, indices: rows,
                arguments: [.input(0), .input(1), .output(0), .int(rows), .int(period)],
                traffic: Traffic(bytes: 8 * rows * period + 4 * period, flops: rows * period))
        ]
    }
}

extension Graph {
    /// a + b, where b ([R, D], say) repeats along the leading dimensions of a ([B, R, D]).
    public func addPeriodic(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(AddPeriodic(), a, b)[0] }
}
