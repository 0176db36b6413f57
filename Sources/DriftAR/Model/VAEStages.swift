import DriftGPU

/// Levels of residual blocks, each but the last followed by a convolution with stride 2 whose zeros are on the right and at
/// the bottom alone.
struct VAEEncoder: Sendable {
    private let shape: VAE.Shape
    private let middle: VAEMiddle

    init(_ shape: VAE.Shape) {
        self.shape = shape
        middle = VAEMiddle(channels: shape.channels(ofLevel: shape.multipliers.count - 1), shape)
    }

    private func block(_ level: Int, _ index: Int) -> VAEResidualBlock {
        let output = shape.channels(ofLevel: level)
        let input = index > 0 ? output : level > 0 ? shape.channels(ofLevel: level - 1) : shape.width
        return VAEResidualBlock(input: input, output: output, groups: shape.groups, epsilon: shape.epsilon)
    }

    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        var list = ParameterDeclaration.convolution(prefix + "conv_in", shape.imageChannels, shape.width)
        for level in shape.multipliers.indices {
            let channels = shape.channels(ofLevel: level)
            for index in 0..<shape.blocks {
                list += block(level, index).declarations(prefix + "down.\(level).block.\(index).")
                if shape.encoderAttention.contains(level) {
                    list += shape.attention(level).declarations(prefix + "down.\(level).attn.\(index).")
                }
            }
            if level < shape.multipliers.count - 1 {
                list += ParameterDeclaration.convolution(prefix + "down.\(level).downsample.conv", channels, channels)
            }
        }
        let last = shape.channels(ofLevel: shape.multipliers.count - 1)
        return list + middle.declarations(prefix + "mid.") + ParameterDeclaration.layerNorm(prefix + "norm_out", last)
            + ParameterDeclaration.convolution(prefix + "conv_out", last, 2 * shape.innerChannels)
    }

    /// [B, H, W, image channels] -> [B, H / f, W / f, 2 inner channels].
    func callAsFunction(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor {
        var x = try scope.convolution(images, "conv_in", padding: Padding(1))
        for level in shape.multipliers.indices {
            let down = scope.scope("down.\(level)")
            for index in 0..<shape.blocks {
                x = try scope.graph.segment { try block(level, index)(x, down.scope("block.\(index)")) }
                if shape.encoderAttention.contains(level) {
                    x = try shape.attention(level)(x, down.scope("attn.\(index)"))
                }
            }
            if level < shape.multipliers.count - 1 {
                x = try down.convolution(
                    x, "downsample.conv", stride: 2, padding: Padding(top: 0, left: 0, bottom: 1, right: 1))
            }
        }
        return try shape.finish(middle(x, scope.scope("mid")), scope)
    }
}

/// The encoder backwards: one residual block more a level, nearest upsampling and a convolution between levels.
struct VAEDecoder: Sendable {
    private let shape: VAE.Shape
    private let middle: VAEMiddle

    init(_ shape: VAE.Shape) {
        self.shape = shape
        middle = VAEMiddle(channels: shape.channels(ofLevel: shape.multipliers.count - 1), shape)
    }

    private func block(_ level: Int, _ index: Int) -> VAEResidualBlock {
        let output = shape.channels(ofLevel: level)
        let input = index > 0 ? output : shape.channels(ofLevel: min(level + 1, shape.multipliers.count - 1))
        return VAEResidualBlock(input: input, output: output, groups: shape.groups, epsilon: shape.epsilon)
    }

    func declarations(_ prefix: String) -> [ParameterDeclaration] {
        let top = shape.channels(ofLevel: shape.multipliers.count - 1)
        var list = ParameterDeclaration.convolution(prefix + "conv_in", shape.innerChannels, top)
        list += middle.declarations(prefix + "mid.")
        for level in shape.multipliers.indices.reversed() {
            let channels = shape.channels(ofLevel: level)
            for index in 0...shape.blocks {
                list += block(level, index).declarations(prefix + "up.\(level).block.\(index).")
                if shape.decoderAttention.contains(level) {
                    list += shape.attention(level).declarations(prefix + "up.\(level).attn.\(index).")
                }
            }
            if level > 0 { list += ParameterDeclaration.convolution(prefix + "up.\(level).upsample.conv", channels, channels) }
        }
        let first = shape.channels(ofLevel: 0)
        return list + ParameterDeclaration.layerNorm(prefix + "norm_out", first)
            + ParameterDeclaration.convolution(prefix + "conv_out", first, shape.imageChannels)
    }

    /// [B, h, w, inner channels] -> [B, h f, w f, image channels].
    func callAsFunction(_ latents: Tensor, _ scope: ParameterScope) throws -> Tensor {
        var x = try middle(scope.convolution(latents, "conv_in", padding: Padding(1)), scope.scope("mid"))
        for level in shape.multipliers.indices.reversed() {
            let up = scope.scope("up.\(level)")
            for index in 0...shape.blocks {
                x = try scope.graph.segment { try block(level, index)(x, up.scope("block.\(index)")) }
                if shape.decoderAttention.contains(level) { x = try shape.attention(level)(x, up.scope("attn.\(index)")) }
            }
            if level > 0 { x = try up.convolution(scope.graph.upsample(x), "upsample.conv", padding: Padding(1)) }
        }
        return try shape.finish(x, scope)
    }
}

extension VAE.Shape {
    /// Channels behind a level.
    func channels(ofLevel level: Int) -> Int { width * multipliers[level] }

    fileprivate func attention(_ level: Int) -> VAEAttentionBlock {
        VAEAttentionBlock(channels: channels(ofLevel: level), groups: groups, epsilon: epsilon)
    }

    /// conv_out(swish(norm_out x)), the end of both stages.
    fileprivate func finish(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let normed = try scope.graph.silu(scope.groupNorm(x, "norm_out", groups: groups, epsilon: epsilon))
        return try scope.convolution(normed, "conv_out", padding: Padding(1))
    }
}
