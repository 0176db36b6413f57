/// z = factor (mean + exp(clamp(log-variance, -30, 20) / 2) eps). Inputs: moments [B, 2 C, ...], eps [B, C, ...].
struct Posterior: Operation {
    let factor: Float

    var name: String { "posterior" }
    var inPlace: [(input: Int, output: Int)] { [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (moments, eps) = (inputs[0], inputs[1])
        guard moments.rank >= 2, eps.rank >= 1, moments.shape[0] == eps.shape[0], moments.count == 2 * eps.count else {
            throw GraphError("posterior: moments \(moments) for noise \(eps); means and log-variances are as many each")
        }
        return [eps]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dz = gradients[0] else { return [nil, nil] }
        return [try graph.apply(PosteriorGradient(factor: factor), node.inputs[0], node.inputs[1], dz)[0], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let eps = context.inputs[1]
        let (batch, count) = (eps.shape[0], eps.count / eps.shape[0])
        return [
            context.shareLaunch(
                "posterior_forward", family: "posterior", rows: batch, columns: count,
                arguments: [.input(0), .input(1), .output(0), .int(batch), .int(count), .float(factor)],
                traffic: Traffic(bytes: 16 * eps.count, flops: 25 * eps.count))
        ]
    }
}

/// dmoments. Inputs: moments [B, 2 C, ...], eps, dz [B, C, ...].
struct PosteriorGradient: Operation {
    let factor: Float

    var name: String { "posterior_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let eps = context.inputs[1]
        let (batch, count) = (eps.shape[0], eps.count / eps.shape[0])
        return [
            context.shareLaunch(
                "posterior_backward", family: "posterior", rows: batch, columns: 2 * count,
                arguments: [.input(0), .input(1), .input(2), .output(0), .int(batch), .int(count), .float(factor)],
                traffic: Traffic(bytes: 24 * eps.count, flops: 28 * eps.count))
        ]
    }
}

extension Graph {
    /// A draw from an autoencoder's posterior, times `factor`: moments [B, 2 C, ...] hold the means, then the log-variances
    /// (clamped to [-30, 20]); eps [B, C, ...] is standard normal, and gets no gradient.
    public func posterior(moments: Tensor, eps: Tensor, factor: Float = 1) throws -> Tensor {
        try apply(Posterior(factor: factor), moments, eps)[0]
    }
}
