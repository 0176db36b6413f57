/// Inputs one after the other along an axis.
struct Concat: Operation {
    let axis: Int

    var name: String { "concat" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard var result = inputs.first, axis >= 0, axis < result.rank else {
            throw GraphError("concat: no axis \(axis) in \(inputs.map(\.description).joined(separator: ", "))")
        }
        for input in inputs.dropFirst() {
            var like = input
            if axis < input.rank { like.shape[axis] = result.shape[axis] }
            guard like == result else { throw GraphError("concat along axis \(axis): \(result) and \(input)") }
            result.shape[axis] += input.shape[axis]
        }
        return [result]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return needs.map { _ in nil } }
        var begin = 0
        return try zip(node.inputs, needs).map { input, isNeeded in
            defer { begin += input.shape[axis] }
            return isNeeded ? try graph.slice(dy, axis: axis, begin..<(begin + input.shape[axis])) : nil
        }
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let extent = context.outputs[0].around(axis)
        // Where `outer` is 1 the copies below are plain ones, which the teams share by elements.
        if extent.outer > 1, Set(context.inputs).count == 1 {
            return context.copyParts(
                "join_strided", whole: .output(0), parts: context.inputs.indices.map { .input($0) }, outer: extent.outer,
                count: context.inputs[0].shape[axis] * extent.inner)
        }
        let stride = context.outputs[0].shape[axis] * extent.inner
        var begin = 0
        return context.inputs.indices.map { index in
            let count = context.inputs[index].shape[axis] * extent.inner
            defer { begin += count }
            return context.copyStrided(
                .input(index), .output(0), outer: extent.outer, count: count, from: (count, 0), to: (stride, begin))
        }
    }
}

extension TensorType {
    /// Products of the extents before and after an axis.
    func around(_ axis: Int) -> (outer: Int, inner: Int) {
        (shape[..<axis].reduce(1, *), shape[(axis + 1)...].reduce(1, *))
    }
}

extension LaunchContext {
    /// `split_strided` or `join_strided`: a whole [outer, parts, count] and its parts [outer, count]. A kernel has six
    /// arguments for parts, so every six of them are a launch.
    func copyParts(_ kernel: String, whole: Argument, parts: [Argument], outer: Int, count: Int) -> [Command] {
        let width = 6
        return stride(from: 0, to: parts.count, by: width).map { begin in
            let group = Array(parts[begin..<min(begin + width, parts.count)])
            let padded = group + Array(repeating: group[0], count: width - group.count)
            let pieces = pieces(rows: outer * group.count, columns: count)
            return rowLaunch(
                kernel, family: "layout", rows: outer * group.count * pieces,
                arguments: [whole] + padded
                    + [
                        .int(outer), .int(count), .int(group.count), .int(parts.count * count), .int(begin * count),
                        .int(pieces),
                    ],
                traffic: Traffic(bytes: 8 * outer * count * group.count))
        }
    }

    /// `outer` pieces of `count` elements between two layouts, each with a stride and a begin in elements.
    func copyStrided(
        _ x: Argument, _ y: Argument, outer: Int, count: Int, from: (stride: Int, begin: Int),
        to: (stride: Int, begin: Int)
    ) -> Command {
        let arguments: [Argument] = [x, y]
        // A single piece is a plain copy: shared among the teams by elements, not by rows.
        if outer == 1, case .input(let input, let inputOffset) = x, case .output(let output, let outputOffset) = y {
            return elementLaunch(
                "copy_forward", family: "copy", count: count,
                arguments: [
                    .input(input, offset: inputOffset + from.begin), .output(output, offset: outputOffset + to.begin),
                    .int(count),
                ], traffic: Traffic(bytes: 8 * count))
        }
        let pieces = pieces(rows: outer, columns: count)
        return rowLaunch(
            "copy_strided", family: "layout", rows: outer * pieces,
            arguments: arguments + [
                .int(outer), .int(count), .int(from.stride), .int(from.begin), .int(to.stride), .int(to.begin),
                .int(pieces),
            ], traffic: Traffic(bytes: 8 * outer * count))
    }

    /// Pieces of each of `rows` rows (PIECES_FOR of layout.cl): one where the rows alone keep the device busy, else enough
    /// for that, of 1024 elements or more.
    func pieces(rows: Int, columns: Int) -> Int {
        max(1, min(traits.teams / max(rows, 1), columns / 1024, 1000))
    }
}

extension Graph {
    /// The tensors one after the other along `axis`; all other extents agree.
    public func concat(_ tensors: [Tensor], axis: Int) throws -> Tensor {
        if tensors.count == 1 { return tensors[0] }
        return try apply(Concat(axis: axis), tensors)[0]
    }
}
