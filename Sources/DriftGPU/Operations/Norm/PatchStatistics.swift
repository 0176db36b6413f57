/// Mean and deviation of each channel over the pixels of a patch. Input: x [B, H, W, C]; outputs: mean and deviation
/// [B, H / height, W / width, C].
struct PatchStatistics: Operation {
    let height: Int
    let width: Int
    let epsilon: Float

    var name: String { "patch_statistics" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let shape = inputs[0].shape
        guard shape.count == 4, height > 0, width > 0, shape[1].isMultiple(of: height), shape[2].isMultiple(of: width) else {
            throw GraphError("patch_statistics: \(inputs[0]) in patches of \(height) x \(width); [B, H, W, C] that they divide is needed")
        }
        guard epsilon >= 0 else { throw GraphError("patch_statistics: epsilon \(epsilon) is negative") }
        let patches = TensorType([shape[0], shape[1] / height, shape[2] / width, shape[3]])
        return [patches, patches]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        func given(_ index: Int) throws -> Tensor { try gradients[index] ?? graph.fill(node.outputs[index].shape, with: 0) }
        let operation = PatchStatisticsGradient(height: height, width: width)
        return try graph.apply(operation, node.inputs[0], node.outputs[0], node.outputs[1], given(0), given(1))
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, mean) = (context.inputs[0], context.outputs[0])
        let sizes = (x.shape + [height, width]).map(Argument.int)
        return [
            context.shareLaunch(
                "patch_statistics_forward", family: name, rows: mean.rows, columns: x.columns,
                arguments: [.input(0), .output(0), .output(1)] + sizes + [.float(epsilon)],
                traffic: Traffic(bytes: x.byteCount + 2 * mean.byteCount, flops: 4 * x.count))
        ]
    }
}

/// Inputs: x, its mean and deviation, and the gradients of both; output: dx [B, H, W, C].
struct PatchStatisticsGradient: Operation {
    let height: Int
    let width: Int

    var name: String { "patch_statistics_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let sizes = (x.shape + [height, width]).map(Argument.int)
        return [
            context.shareLaunch(
                name, family: "patch_statistics", rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .input(2), .input(3), .input(4), .output(0)] + sizes,
                traffic: Traffic(bytes: 2 * x.byteCount + 4 * context.inputs[1].byteCount, flops: 5 * x.count))
        ]
    }
}

extension Graph {
    /// Mean and deviation of each channel over the pixels of each patch: x [B, H, W, C] -> both [B, H / height, W / width, C]. `epsilon`
    /// is added to the variance: the deviation of equal pixels has no gradient without it.
    public func patchStatistics(_ x: Tensor, height: Int, width: Int, epsilon: Float = 1e-6) throws -> (mean: Tensor, deviation: Tensor) {
        let outputs = try apply(PatchStatistics(height: height, width: width, epsilon: epsilon), x)
        return (outputs[0], outputs[1])
    }
}
