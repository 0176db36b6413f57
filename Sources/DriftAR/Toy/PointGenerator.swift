import DriftGPU

/// A multilayer perceptron from noise to points of the plane.
struct PointGenerator: Sendable {
    let noiseWidth = 2
    let hidden = 128
    let depth = 4

    /// Names below `prefix`; the last layer starts at the place that `start` says.
    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        (0...depth).flatMap { layer -> [ParameterDeclaration] in
            let (input, output) = (layer == 0 ? noiseWidth : hidden, layer == depth ? 2 : hidden)
            // Keeps the scale through a GELU of standard normal inputs.
            return ParameterDeclaration.linear(
                prefix + "layers.\(layer)", input, output, .normal((layer == 0 ? 1 : 2) / Float(input).squareRoot()))
        }
    }

    /// noise [N, noiseWidth] -> points [N, 2].
    func callAsFunction(_ noise: Tensor, _ scope: ParameterScope) throws -> Tensor {
        var x = noise
        for layer in 0..<depth { x = try scope.graph.gelu(scope.linear(x, "layers.\(layer)")) }
        return try scope.linear(x, "layers.\(depth)")
    }
}
