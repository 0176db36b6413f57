import DriftGPU

/// The one-pass decoder with Entropy-AdaLN: prior tokens x0 to image tokens, conditioned on z and the entropy map.
public struct DriftDecoder: Sendable {
    public let width: Int
    /// D of the conditioning z.
    public let conditionWidth: Int
    /// Values of an image token, C.
    public let tokenWidth: Int
    public let tokens: Int
    public let heads: Int
    public let depth: Int
    public let hidden: Int
    public let epsilon: Float
    /// Standard deviation of the last layer's weights at the start. The reference takes 0: then all samples of a label begin
    /// equal, feel the same force and stay together (a diversity of 0.17 of the real one after 800 steps on digits).
    public let lastLayerDeviation: Float
    /// Tokens in a line of the image, by which the position embedding starts as sines and cosines; nil: at random, small.
    public let columns: Int?

    public init(
        width: Int, conditionWidth: Int, tokenWidth: Int, tokens: Int, heads: Int, depth: Int, hidden: Int, epsilon: Float,
        lastLayerDeviation: Float = 0.1, columns: Int? = nil
    ) {
        self.width = width
        self.conditionWidth = conditionWidth
        self.tokenWidth = tokenWidth
        self.tokens = tokens
        self.heads = heads
        self.depth = depth
        self.hidden = hidden
        self.epsilon = epsilon
        self.lastLayerDeviation = lastLayerDeviation
        self.columns = columns
    }

    private var block: CrossAttentionBlock {
        CrossAttentionBlock(width: width, contextWidth: width, heads: heads, hidden: hidden, epsilon: epsilon)
    }

    public func declarations(_ prefix: String) -> [ParameterDeclaration] {
        var list: [ParameterDeclaration] = [
            .init(prefix + "level_embed", [1, 6, width], .normal(0.02)),
            .init(prefix + "pos_embed", [1, tokens, width], columns.map { .position(columns: $0) } ?? .normal(0.02)),
        ]
        list += ParameterDeclaration.linear(prefix + "input_proj", tokenWidth, width)
        list += ParameterDeclaration.linear(prefix + "cond_embed", conditionWidth, width)
        for (name, outputs) in [("global_mlp", 6 * width), ("spatial_mlp", 2 * width)] {
            list += ParameterDeclaration.linear(prefix + "entropy_adaln.\(name).0", 1, width, .normal(0.02))
            list += ParameterDeclaration.linear(prefix + "entropy_adaln.\(name).2", width, outputs, .normal(0.02))
        }
        for index in 0..<depth { list += block.declarations(prefix + "res_blocks.\(index).") }
        list += ParameterDeclaration.layerNorm(prefix + "final_layer.norm_final", width)
        list += ParameterDeclaration.linear(
            prefix + "final_layer.linear", width, tokenWidth,
            lastLayerDeviation == 0 ? .zeros : .normal(lastLayerDeviation))
        return list
    }

    /// x0 [B, R, C], z [L, R, Dz], entropy [L, R] or nil -> [B, R, C], with B = L G and the images of a label together.
    public func callAsFunction(
        _ x0: Tensor, z: Tensor, entropy: Tensor?, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let graph = scope.graph
        let (labels, batch) = (z.shape[0], x0.shape[0])
        guard labels > 0, batch % labels == 0, x0.shape[1] == tokens, z.shape[1] == tokens else {
            throw GraphError("drift decoder: x0 \(x0.type) and z \(z.type) do not go together")
        }
        var x = try graph.addPeriodic(scope.linear(x0, "input_proj"), scope.parameter("pos_embed"))
        let context = try scope.linear(z, "cond_embed")
        let level = try scope.parameter("level_embed")
        var t: Tensor
        if let entropy {
            func mlp(_ input: Tensor, _ name: String) throws -> Tensor {
                let inner = scope.scope("entropy_adaln." + name)
                return try inner.linear(graph.silu(inner.linear(input, "0")), "2")
            }
            let mean = try graph.reshape(graph.rowMean(entropy), [labels, 1])
            t = try graph.addPeriodic(graph.reshape(mlp(mean, "global_mlp"), [labels, 6, width]), level)
            let positions = try graph.reshape(entropy, [labels * tokens, 1])
            let spatial = try graph.split(
                graph.reshape(mlp(positions, "spatial_mlp"), [labels * tokens, 2, width]), axis: 1)
            x = try graph.modulate(
                x,
                Modulation(
                    shift: spatial[1], scale: spatial[0],
                    map: RowMap(span: batch / labels * tokens, inner: tokens)))
        } else {
            t = try graph.reshape(graph.repeatEach(level, times: labels), [labels, 6, width])
        }
        for index in 0..<depth {
            x = try block(x, context: context, modulation: t, scope.scope("res_blocks.\(index)"), dropout: dropout)
        }
        let final = scope.scope("final_layer")
        return try final.linear(final.layerNorm(x, "norm_final", epsilon: epsilon), "linear")
    }
}
