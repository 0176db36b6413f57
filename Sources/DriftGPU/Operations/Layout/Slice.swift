/// Part of a tensor along an axis.
struct Slice: Operation {
    let axis: Int
    let range: Range<Int>

    var name: String { "slice" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        var result = inputs[0]
        guard axis >= 0, axis < result.rank, range.lowerBound >= 0, range.upperBound <= result.shape[axis] else {
            throw GraphError("slice: \(range) of axis \(axis) of \(inputs[0])")
        }
        result.shape[axis] = range.count
        return [result]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil] }
        return [try graph.apply(Pad(axis: axis, extent: node.inputs[0].shape[axis], begin: range.lowerBound), dy)[0]]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let extent = context.inputs[0].around(axis)
        let count = range.count * extent.inner
        return [
            context.copyStrided(
                .input(0), .output(0), outer: extent.outer, count: count,
                from: (context.inputs[0].shape[axis] * extent.inner, range.lowerBound * extent.inner), to: (count, 0))
        ]
    }
}

/// A tensor between zeros along an axis: the gradient of a slice.
struct Pad: Operation {
    let axis: Int
    let extent: Int
    let begin: Int

    var name: String { "pad" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        var result = inputs[0]
        guard axis >= 0, axis < result.rank, begin >= 0, begin + result.shape[axis] <= extent else {
            throw GraphError("pad: \(inputs[0]) at \(begin) of \(extent) along axis \(axis)")
        }
        result.shape[axis] = extent
        return [result]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil] }
        return [try graph.slice(dy, axis: axis, begin..<(begin + node.inputs[0].shape[axis]))]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (outer, inner) = context.outputs[0].around(axis)
        let count = context.inputs[0].shape[axis] * inner
        let pieces = context.pieces(rows: outer, columns: extent * inner)
        return [
            context.rowLaunch(
                "pad_strided", family: "layout", rows: outer * pieces,
                arguments: [
                    .input(0), .output(0), .int(outer), .int(count), .int(extent * inner), .int(begin * inner),
                    .int(pieces),
                ], traffic: Traffic(bytes: 4 * outer * (count + extent * inner)))
        ]
    }
}

extension Graph {
    /// The elements of `x` whose index along `axis` is in `range`.
    public func slice(_ x: Tensor, axis: Int, _ range: Range<Int>) throws -> Tensor {
        if axis >= 0, axis < x.shape.count, range == 0..<x.shape[axis] { return x }
        return try apply(Slice(axis: axis, range: range), x)[0]
    }
}
