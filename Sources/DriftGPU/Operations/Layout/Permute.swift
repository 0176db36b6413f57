/// Two neighbouring axes exchanged, the ones after them kept: [L, G, R, D] -> [L, R, G, D] for axis 1.
struct Permute: Operation {
    let axis: Int

    var name: String { "permute" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        var result = inputs[0]
        guard axis >= 0, axis + 1 < result.rank else {
            throw GraphError("permute: \(inputs[0]) has no axes \(axis) and \(axis + 1)")
        }
        result.shape.swapAt(axis, axis + 1)
        return [result]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.permute($0, axis: axis) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let shape = context.inputs[0].shape
        let outer = shape[..<axis].reduce(1, *)
        let width = shape[(axis + 2)...].reduce(1, *)
        let (m, n) = (shape[axis], shape[axis + 1])
        if width == 1 { return [context.transpose(.input(0), .output(0), batch: outer, m: m, n: n)] }
        return [
            context.rowLaunch(
                "permute_forward", family: "layout", rows: outer * m * n,
                arguments: [.input(0), .output(0), .int(outer), .int(m), .int(n), .int(width)],
                traffic: Traffic(bytes: 8 * outer * m * n * width))
        ]
    }
}

extension Graph {
    /// Exchanges the axes `axis` and `axis + 1`.
    public func permute(_ x: Tensor, axis: Int) throws -> Tensor { try apply(Permute(axis: axis), x)[0] }
}
