/// KL divergence of each image's Gaussians from the standard normal. Input: moments [B, 2 C, ...]; output: [B].
struct GaussianDivergence: Operation {
    var name: String { "gaussian_divergence" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let moments = inputs[0]
        guard moments.rank >= 2, moments.shape[1].isMultiple(of: 2), moments.count > 0 else {
            throw GraphError("gaussian_divergence: \(moments) is not [B, 2 C, ...], means and then log-variances")
        }
        return [TensorType([moments.shape[0]])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(GaussianDivergenceGradient(), node.inputs[0], $0)[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let moments = context.inputs[0]
        let (batch, count) = (moments.shape[0], moments.count / moments.shape[0] / 2)
        return [
            context.rowLaunch(
                "gaussian_divergence_forward", family: "gaussian_divergence", rows: batch, indices: count,
                arguments: [.input(0), .output(0), .int(batch), .int(count)],
                traffic: Traffic(bytes: 4 * moments.count, flops: 13 * moments.count))
        ]
    }
}

/// dmoments. Inputs: moments [B, 2 C, ...], ddivergence [B].
struct GaussianDivergenceGradient: Operation {
    var name: String { "gaussian_divergence_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let moments = context.inputs[0]
        let (batch, count) = (moments.shape[0], moments.count / moments.shape[0] / 2)
        return [
            context.shareLaunch(
                "gaussian_divergence_backward", family: "gaussian_divergence", rows: batch, columns: 2 * count,
                arguments: [.input(0), .input(1), .output(0), .int(batch), .int(count)],
                traffic: Traffic(bytes: 8 * moments.count, flops: 13 * moments.count))
        ]
    }
}

extension Graph {
    /// KL divergence of an autoencoder's posterior from the standard normal, summed over an image's values: moments [B, 2 C, ...], the
    /// means and then the log-variances (clamped to [-30, 20]) -> [B], in nats.
    public func gaussianDivergence(_ moments: Tensor) throws -> Tensor { try apply(GaussianDivergence(), moments)[0] }
}
