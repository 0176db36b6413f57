/// The last two axes exchanged.
struct Transpose: Operation {
    var name: String { "transpose" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        var result = inputs[0]
        let rank = result.rank
        guard rank >= 2 else { throw GraphError("transpose: \(inputs[0]) has fewer than two axes") }
        result.shape.swapAt(rank - 1, rank - 2)
        return [result]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.transpose($0) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let m = shape[shape.count - 2]
        let n = shape[shape.count - 1]
        return [context.transpose(.input(0), .output(0), batch: context.inputs[0].count / max(m * n, 1), m: m, n: n)]
    }
}

extension LaunchContext {
    /// [batch, m, n] -> [batch, n, m].
    func transpose(_ x: Argument, _ y: Argument, batch: Int, m: Int, n: Int) -> Command {
        let tile = traits.isGPUShape ? 32 : traits.lanes
        return rowLaunch(
            "transpose_forward", family: "layout", rows: batch * ((m + tile - 1) / tile) * ((n + tile - 1) / tile),
            arguments: [x, y, .int(batch), .int(m), .int(n)], traffic: Traffic(bytes: 8 * batch * m * n))
    }
}

extension Graph {
    /// [..., M, N] -> [..., N, M].
    public func transpose(_ x: Tensor) throws -> Tensor { try apply(Transpose(), x)[0] }
}
