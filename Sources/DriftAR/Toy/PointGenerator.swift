import DriftGPU

/// A multilayer perceptron from noise to points of the plane, beside a linear map of the noise: with that the points start as
/// a round cloud, where the layers alone would make a cone of them.
struct PointGenerator: Sendable {
    let noiseWidth = 2
    let hidden = 128
    let depth = 4

    /// Names below `prefix`. The run that uses them puts the cloud in its place.
    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        (0...depth).flatMap { layer -> [ParameterDeclaration] in
            let (input, output) = (layer == 0 ? noiseWidth : hidden, layer == depth ? 2 : hidden)
            // 2 keeps the scale through a GELU of standard normal inputs; the last layer adds little to the linear map at first.
            let gain: Float = layer == 0 ? 1 : layer == depth ? 0.2 : 2
            return ParameterDeclaration.linear(
                prefix + "layers.\(layer)", input, output, .normal(gain / Float(input).squareRoot()))
        } + ParameterDeclaration.linear(prefix + "skip", noiseWidth, 2, .zeros)
    }

    /// noise [N, noiseWidth] -> points [N, 2].
    func callAsFunction(_ noise: Tensor, _ scope: ParameterScope) throws -> Tensor {
        var x = noise
        for layer in 0..<depth { x = try scope.graph.gelu(scope.linear(x, "layers.\(layer)")) }
        return try scope.graph.add(scope.linear(x, "layers.\(depth)"), scope.linear(noise, "skip"))
    }
}
