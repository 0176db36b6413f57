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

    /// What times do to the blocks and to the end, the learned tables added. Nothing of an image has an influence on it.
    package struct Modulations {
        /// Of each block six [n, D]: shift, scale and gate of attention, then of the MLP.
        package let blocks: [[Tensor]]
        /// Shift and scale of the end [n, D].
        package let end: [Tensor]

        package init(blocks: [[Tensor]], end: [Tensor]) { (self.blocks, self.end) = (blocks, end) }

        /// From all of them, one behind the other.
        package init(_ all: [Tensor]) {
            let depth = all.count / 6
            self.init(blocks: (0..<depth).map { Array(all[(6 * $0)..<(6 * $0 + 6)]) }, end: Array(all[(6 * depth)...]))
        }

        /// One behind the other.
        package var all: [Tensor] { blocks.flatMap { $0 } + end }
    }

    /// How many a time has.
    package var modulationCount: Int { 6 * depth + 2 }

    /// What each of the times does.
    package func modulations(of time: Time, _ scope: ParameterScope) throws -> Modulations {
        let graph = scope.graph
        let twice = try graph.reshape(graph.concat([time.embedded, time.embedded], axis: 1), [time.embedded.type.rows, 2, width])
        return try Modulations(
            blocks: (0..<depth).map { try block.modulation(time.modulation, scope.scope("res_blocks.\($0)")) },
            end: graph.split(graph.addPeriodic(twice, scope.parameter("final_layer.scale_shift_table")), axis: 1))
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
        try self(x, modulations: modulations(of: time, scope), keys: keys, scope, dropout: dropout)
    }

    /// The same with what the times do, computed before.
    package func callAsFunction(
        _ x: Tensor, modulations: Modulations, keys: [CrossAttentionBlock.CrossKeys], _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let graph = scope.graph
        let count = modulations.end[0].type.rows
        guard count > 0, x.shape[0] % count == 0, keys.count == depth, modulations.blocks.count == depth else {
            throw GraphError("flow decoder: tokens \(x.type), \(count) times and keys of \(keys.count) blocks do not go together")
        }
        var x = x
        for index in 0..<depth {
            x = try block(
                x, keys: keys[index], modulation: modulations.blocks[index], scope.scope("res_blocks.\(index)"), dropout: dropout)
        }
        let map = RowMap(span: x.shape[0] / count * tokens)
        let (shift, scale) = (modulations.end[0], modulations.end[1])
        let normed = try graph.layerNorm(x, epsilon: block.epsilon, Modulation(shift: shift, scale: scale, map: map))
        return try scope.linear(normed, "final_layer.linear")
    }
}
