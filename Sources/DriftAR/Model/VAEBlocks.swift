import DriftGPU

/// x + conv2(swish(norm2(conv1(swish(norm1 x))))), x through a 1x1 `nin_shortcut` where the channels change.
struct VAEResidualBlock: Sendable {
    let input: Int
    let output: Int
    let groups: Int
    let epsilon: Float

    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        ParameterDeclaration.layerNorm(prefix + "norm1", input)
            + ParameterDeclaration.convolution(prefix + "conv1", input, output)
            + ParameterDeclaration.layerNorm(prefix + "norm2", output)
            + ParameterDeclaration.convolution(prefix + "conv2", output, output)
            + (input == output ? [] : ParameterDeclaration.convolution(prefix + "nin_shortcut", input, output, taps: 1))
    }

    /// [B, H, W, input] -> [B, H, W, output].
    func callAsFunction(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        func normed(_ x: Tensor, _ name: String) throws -> Tensor {
            try graph.silu(scope.groupNorm(x, name, groups: groups, epsilon: epsilon))
        }
        let first = try scope.convolution(normed(x, "norm1"), "conv1", padding: Padding(1))
        let second = try scope.convolution(normed(first, "norm2"), "conv2", padding: Padding(1))
        return try graph.add(input == output ? x : scope.convolution(x, "nin_shortcut"), second)
    }
}

/// x + proj_out(attention(q, k, v of norm x)) over all pixels, with one head.
struct VAEAttentionBlock: Sendable {
    let channels: Int
    let groups: Int
    let epsilon: Float

    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        ParameterDeclaration.layerNorm(prefix + "norm", channels)
            + ["q", "k", "v", "proj_out"].flatMap {
                ParameterDeclaration.convolution(prefix + $0, channels, channels, taps: 1)
            }
    }

    /// [B, H, W, C] -> [B, H, W, C].
    func callAsFunction(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let normed = try scope.groupNorm(x, "norm", groups: groups, epsilon: epsilon)
        func rows(_ name: String) throws -> Tensor {
            try graph.reshape(scope.convolution(normed, name), [x.shape[0], x.shape[1] * x.shape[2], channels])
        }
        let attended = try graph.singleHeadAttention(query: rows("q"), key: rows("k"), value: rows("v"))
        return try graph.add(x, scope.convolution(graph.reshape(attended, x.shape), "proj_out"))
    }
}

/// Residual block, attention, residual block at the smallest size.
struct VAEMiddle: Sendable {
    let block: VAEResidualBlock
    let attention: VAEAttentionBlock

    init(channels: Int, _ shape: VAE.Shape) {
        block = VAEResidualBlock(input: channels, output: channels, groups: shape.groups, epsilon: shape.epsilon)
        attention = VAEAttentionBlock(channels: channels, groups: shape.groups, epsilon: shape.epsilon)
    }

    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        block.declarations(prefix + "block_1.") + attention.declarations(prefix + "attn_1.")
            + block.declarations(prefix + "block_2.")
    }

    func callAsFunction(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let first = try block(x, scope.scope("block_1"))
        return try block(attention(first, scope.scope("attn_1")), scope.scope("block_2"))
    }
}

extension ParameterDeclaration {
    /// A convolution's weight [output, input, taps, taps] and bias. What goes in keeps its variance.
    static func convolution(_ name: String, _ input: Int, _ output: Int, taps: Int = 3) -> [ParameterDeclaration] {
        let deviation = 1 / Float(input * taps * taps).squareRoot()
        return [
            .init(name + ".weight", [output, input, taps, taps], .normal(deviation)), .init(name + ".bias", [output], .zeros),
        ]
    }
}

extension ParameterScope {
    /// The convolution `name.weight`, `name.bias` over pixels of channels.
    func convolution(_ x: Tensor, _ name: String, stride: Int = 1, padding: Padding = Padding(0)) throws -> Tensor {
        try graph.convolution(
            x, weight: parameter(name + ".weight"), bias: parameter(name + ".bias"), stride: stride, padding: padding)
    }

    /// The GroupNorm `name.weight`, `name.bias` over pixels of channels.
    func groupNorm(_ x: Tensor, _ name: String, groups: Int, epsilon: Float) throws -> Tensor {
        try graph.groupNorm(
            x, weight: parameter(name + ".weight"), bias: parameter(name + ".bias"), groups: groups, epsilon: epsilon)
    }
}
