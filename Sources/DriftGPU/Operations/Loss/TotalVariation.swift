/// Sums over the rows of pixels of images: of absolute values, and of absolute differences of neighbours. Input: x [B, H, W, C];
/// output: [B, H].
struct TotalVariation: Operation {
    let absolute: Float
    let variation: Float

    var name: String { "total_variation" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 4, inputs[0].count > 0 else { throw GraphError("total_variation: \(inputs[0]) is not [B, H, W, C]") }
        return [TensorType(Array(inputs[0].shape[..<2]))]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(TotalVariationGradient(of: self), node.inputs[0], $0)[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.rowLaunch(
                "total_variation_forward", family: "total_variation", rows: x.shape[0] * x.shape[1], indices: x.shape[2] * x.shape[3],
                arguments: [.input(0), .output(0)] + arguments(x), traffic: Traffic(bytes: 4 * x.count, flops: 7 * x.count))
        ]
    }
    fileprivate func arguments(_ x: TensorType) -> [Argument] { x.shape.map(Argument.int) + [.float(absolute), .float(variation)] }
}

/// dx. Inputs: x, dsums [B, H].
struct TotalVariationGradient: Operation {
    let of: TotalVariation

    var name: String { "total_variation_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.rowLaunch(
                "total_variation_backward", family: "total_variation", rows: x.shape[0] * x.shape[1], indices: x.shape[2] * x.shape[3],
                arguments: [.input(0), .input(1), .output(0)] + of.arguments(x), traffic: Traffic(bytes: 8 * x.count, flops: 14 * x.count))
        ]
    }
}

extension Graph {
    /// Sums [B, H] over the rows of pixels of x [B, H, W, C]: `absolute` |x| + `variation` (|right - x| + |below - x|).
    ///
    /// Of the difference of two images the first is their L1 distance, the second that of their gradients (the gradient difference
    /// loss of arXiv 1511.05440).
    public func totalVariation(_ x: Tensor, absolute: Float, variation: Float) throws -> Tensor {
        try apply(TotalVariation(absolute: absolute, variation: variation), x)[0]
    }
}
