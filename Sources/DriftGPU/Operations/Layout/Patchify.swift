/// Images [B, C, H, W] to tokens [B, (H/p)(W/p), C p p], a token's vector over (channel, row, column).
struct Patchify: Operation {
    let patch: Int

    var name: String { "patchify" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let shape = inputs[0].shape
        guard patch > 0, shape.count == 4, shape[2].isMultiple(of: patch), shape[3].isMultiple(of: patch) else {
            throw GraphError("patchify: \(inputs[0]) is not [B, C, H, W] with H and W multiples of \(patch)")
        }
        return [TensorType([shape[0], shape[2] / patch * (shape[3] / patch), shape[1] * patch * patch])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        let shape = node.inputs[0].shape
        return [
            try gradients[0].map {
                try graph.unpatchify($0, channels: shape[1], height: shape[2], width: shape[3], patch: patch)
            }
        ]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        [context.patches("patchify_forward", images: context.inputs[0].shape, patch: patch)]
    }
}

/// The inverse.
struct Unpatchify: Operation {
    let channels: Int
    let height: Int
    let width: Int
    let patch: Int

    var name: String { "unpatchify" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard let batch = inputs[0].shape.first, patch > 0, height.isMultiple(of: patch), width.isMultiple(of: patch),
            inputs[0].count == batch * channels * height * width, inputs[0].columns == channels * patch * patch
        else {
            throw GraphError("unpatchify: \(inputs[0]) to \(channels) x \(height) x \(width) in patches of \(patch)")
        }
        return [TensorType([batch, channels, height, width])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.patchify($0, patch: patch) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        [context.patches("unpatchify_forward", images: context.outputs[0].shape, patch: patch)]
    }
}

extension LaunchContext {
    fileprivate func patches(_ kernel: String, images shape: [Int], patch: Int) -> Command {
        let count = shape.reduce(1, *)
        let size = shape[1] * patch * patch
        return itemLaunch(
            kernel, family: "patchify", items: count / max(size, 1), size: size, indices: size,
            arguments: [.input(0), .output(0)] + shape.map(Argument.int) + [.int(patch)],
            traffic: Traffic(bytes: 8 * count))
    }
}

extension Graph {
    /// Images [B, C, H, W] to tokens [B, (H/p)(W/p), C p p].
    public func patchify(_ images: Tensor, patch: Int) throws -> Tensor { try apply(Patchify(patch: patch), images)[0] }

    /// Tokens [B, (H/p)(W/p), C p p] to images [B, C, H, W].
    public func unpatchify(_ tokens: Tensor, channels: Int, height: Int, width: Int, patch: Int) throws -> Tensor {
        try apply(Unpatchify(channels: channels, height: height, width: width, patch: patch), tokens)[0]
    }
}
