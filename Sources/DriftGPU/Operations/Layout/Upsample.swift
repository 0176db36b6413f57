/// Nearest upsampling: every pixel of [B, H, W, C] `factor` x `factor` times. A convolution that follows reads the small image
/// instead.
struct Upsample: Operation {
    let factor: Int

    var name: String { "upsample" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let shape = inputs[0].shape
        guard shape.count == 4, factor > 0, factor <= 64 else {
            throw GraphError("upsample: \(inputs[0]) by \(factor); [B, H, W, C] and a factor of 1 to 64 are needed")
        }
        return [TensorType([shape[0], shape[1] * factor, shape[2] * factor, shape[3]])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(UpsampleGradient(factor: factor), $0)[0] }]
    }
    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard var convolution = consumer as? Convolution, index == 0, convolution.enlargement.factor == 1,
            !convolution.isTransposed, !keepsIntermediate
        else { return nil }
        convolution.enlargement = Convolution.Enlargement(factor: factor)
        return convolution
    }
    func commands(_ context: LaunchContext) -> [Command] {
        [context.upsample("upsample_forward", small: context.inputs[0].shape, factor: factor)]
    }
}

/// The sum over the copies of each pixel: [B, H factor, W factor, C] -> [B, H, W, C].
struct UpsampleGradient: Operation {
    let factor: Int

    var name: String { "upsample_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let shape = inputs[0].shape
        guard shape.count == 4, shape[1].isMultiple(of: factor), shape[2].isMultiple(of: factor) else {
            throw GraphError("upsample_backward: \(inputs[0]) is not enlarged by \(factor)")
        }
        return [TensorType([shape[0], shape[1] / factor, shape[2] / factor, shape[3]])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.upsample($0, factor: factor) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        [context.upsample("upsample_backward", small: context.outputs[0].shape, factor: factor)]
    }
}

extension LaunchContext {
    fileprivate func upsample(_ kernel: String, small shape: [Int], factor: Int) -> Command {
        let pixels = shape[0] * shape[1] * shape[2]
        let large = pixels * factor * factor
        return shareLaunch(
            kernel, family: "upsample", rows: kernel == "upsample_forward" ? large : pixels, columns: shape[3],
            arguments: [.input(0), .output(0)] + (shape + [factor]).map(Argument.int),
            traffic: Traffic(bytes: 4 * (pixels + large) * shape[3]))
    }
}

extension Graph {
    /// Every pixel of [B, H, W, C] `factor` x `factor` times (nearest): [B, H factor, W factor, C].
    public func upsample(_ x: Tensor, factor: Int = 2) throws -> Tensor {
        try apply(Upsample(factor: factor), x)[0]
    }

    /// The sum of each square of `factor` x `factor` pixels: [B, H, W, C] -> [B, H / factor, W / factor, C].
    public func sumPixels(_ x: Tensor, factor: Int = 2) throws -> Tensor {
        guard x.shape.count == 4, factor > 0, factor <= 64 else {
            throw GraphError("sum_pixels: \(x.type) by \(factor); [B, H, W, C] and a factor of 1 to 64 are needed")
        }
        return try apply(UpsampleGradient(factor: factor), x)[0]
    }
}
