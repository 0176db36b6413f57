/// A tensor taken apart into slices of one along an axis, which disappears; one output a slice.
struct Split: Operation {
    let axis: Int

    var name: String { "split" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard axis >= 0, axis < inputs[0].rank else { throw GraphError("split: no axis \(axis) in \(inputs[0])") }
        var part = inputs[0]
        part.shape.remove(at: axis)
        return Array(repeating: part, count: inputs[0].shape[axis])
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        let parts = try node.outputs.indices.map { index in
            try gradients[index] ?? graph.fill(node.outputs[index].shape, with: 0)
        }
        var shape = node.inputs[0].shape
        shape[axis] = 1
        return [try graph.concat(parts.map { try graph.reshape($0, shape) }, axis: axis)]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (outer, inner) = context.inputs[0].around(axis)
        return context.copyParts(
            "split_strided", whole: .input(0), parts: context.outputs.indices.map { .output($0) }, outer: outer, count: inner)
    }
}

extension Graph {
    /// The slices of `x` along `axis`, without that axis: [L, n, D] along 1 -> n tensors [L, D].
    public func split(_ x: Tensor, axis: Int) throws -> [Tensor] { try apply(Split(axis: axis), x) }
}
