import DriftGPU

/// TransDiff's decoder: tokens of an image between noise and data -> the velocity towards noise, conditioned on z and the time. The drift
/// decoder is this network with the entropy in the place of time. Names as in the reference's state_dict.
package struct FlowDecoder: Sendable {
    package let width: Int
    /// Dz, of the conditioning z.
    package let conditionWidth: Int
    /// C, values of an image token.
    package let tokenWidth: Int
    /// R.
    package let tokens: Int
    package let depth: Int
    /// Tokens in a line of the image, by which the position embedding starts as sines and cosines; nil: at random, small.
    package let columns: Int?
    private let block: CrossAttentionBlock

    /// Numbers that tell times apart.
    private static let timeWidth = 256

    package init(
        width: Int, conditionWidth: Int, tokenWidth: Int, tokens: Int, heads: Int, depth: Int, hidden: Int, epsilon: Float,
        columns: Int? = nil
    ) {
        (self.width, self.conditionWidth, self.tokenWidth, self.tokens) = (width, conditionWidth, tokenWidth, tokens)
        (self.depth, self.columns) = (depth, columns)
        block = CrossAttentionBlock(width: width, contextWidth: width, heads: heads, hidden: hidden, epsilon: epsilon)
    }

    package func declarations(_ prefix: String) -> [ParameterDeclaration] {
        let time = prefix + "time_embed."
        var list: [ParameterDeclaration] = [
            .init(
                prefix + "diffusion_pos_embed_learned", [1, tokens, width], columns.map { .position(columns: $0) } ?? .normal(0.02))
        ]
        list += ParameterDeclaration.linear(time + "time_embedder.linear_1", Self.timeWidth, width, .normal(0.02))
        list += ParameterDeclaration.linear(time + "time_embedder.linear_2", width, width, .normal(0.02))
        list += ParameterDeclaration.linear(time + "time_proj", width, 6 * width, .glorot)
        list += ParameterDeclaration.linear(prefix + "cond_embed", conditionWidth, width, .glorot)
        list += ParameterDeclaration.linear(prefix + "input_proj", tokenWidth, width, .glorot)
        for index in 0..<depth { list += block.declarations(prefix + "res_blocks.\(index).", weight: .glorot) }
        list.append(.init(prefix + "final_layer.scale_shift_table", [1, 2, width], .normal(1 / Float(width).squareRoot())))
        return list + ParameterDeclaration.linear(prefix + "final_layer.linear", width, tokenWidth, .zeros)
    }

    /// What a time does to the network.
    package struct Time {
        /// Shifts, scales and gates of the blocks [n, 6, D].
        package let modulation: Tensor
        /// The embedded time itself [n, D].
        package let embedded: Tensor

        package init(modulation: Tensor, embedded: Tensor) { (self.modulation, self.embedded) = (modulation, embedded) }
    }

    /// Times [n] in units of a thousandth.
    package func embed(times: Tensor, _ scope: ParameterScope) throws -> Time {
        let (graph, net) = (scope.graph, scope.scope("time_embed"))
        let first = try net.linear(graph.sinusoid(times, width: Self.timeWidth), "time_embedder.linear_1")
        let embedded = try net.linear(graph.silu(first), "time_embedder.linear_2")
        let modulation = try graph.reshape(net.linear(graph.silu(embedded), "time_proj"), [times.count, 6, width])
        return Time(modulation: modulation, embedded: embedded)
    }

    /// What the blocks attend to of z [L, M, Dz]: neither time nor the image has an influence on it.
    package func keys(of z: Tensor, _ scope: ParameterScope) throws -> [CrossAttentionBlock.CrossKeys] {
        let context = try scope.linear(z, "cond_embed")
        return try (0..<depth).map { try block.keys(of: context, scope.scope("res_blocks.\($0)")) }
    }

    /// Tokens [B, R, C] -> [B, R, D].
    package func enter(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        guard x.shape.count == 3, x.shape[1] == tokens, x.shape[2] == tokenWidth else {
            throw GraphError("flow decoder: tokens \(x.type); [B, \(tokens), \(tokenWidth)] are needed")
        }
        return try scope.graph.addPeriodic(scope.linear(x, "input_proj"), scope.parameter("diffusion_pos_embed_learned"))
    }

    /// Entered tokens [B, R, D], a time [n] and keys [L, M, D] with B a multiple of n and of L -> velocity [B, R, C].
    package func callAsFunction(
        _ x: Tensor, time: Time, keys: [CrossAttentionBlock.CrossKeys], _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let graph = scope.graph
        let count = time.embedded.type.rows
        guard count > 0, x.shape[0] % count == 0, keys.count == depth else {
            throw GraphError("flow decoder: tokens \(x.type), times \(time.embedded.type) and keys of \(keys.count) blocks do not go together")
        }
        var x = x
        for index in 0..<depth {
            x = try block(x, keys: keys[index], modulation: time.modulation, scope.scope("res_blocks.\(index)"), dropout: dropout)
        }
        let final = scope.scope("final_layer")
        let twice = try graph.reshape(graph.concat([time.embedded, time.embedded], axis: 1), [count, 2, width])
        let m = try graph.split(graph.addPeriodic(twice, final.parameter("scale_shift_table")), axis: 1)
        let map = RowMap(span: x.shape[0] / count * tokens)
        let normed = try graph.layerNorm(x, epsilon: block.epsilon, Modulation(shift: m[0], scale: m[1], map: map))
        return try final.linear(normed, "linear")
    }
}
