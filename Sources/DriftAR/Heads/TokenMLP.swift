import DriftGPU

/// Sizes of a head of single tokens.
package struct TokenHeadShape: Sendable, Hashable {
    /// C, values of a token.
    package let tokenWidth: Int
    /// D, of the condition.
    package let conditionWidth: Int
    /// w, of the blocks.
    package let width: Int
    /// Blocks.
    package let depth: Int

    package init(tokenWidth: Int, conditionWidth: Int, width: Int, depth: Int) {
        (self.tokenWidth, self.conditionWidth, self.width, self.depth) = (tokenWidth, conditionWidth, width, depth)
    }

    /// Those of a head's settings, beside what the other groups say.
    init(_ settings: any TokenHeadKind, _ configuration: Configuration) {
        self.init(
            tokenWidth: configuration.data.tokenWidth, conditionWidth: configuration.network.embed, width: settings.width,
            depth: settings.depth)
    }
}

/// MAR's SimpleMLPAdaLN without what goes in: residual blocks on single tokens, each shifted, scaled and gated by what adaLN makes
/// of a condition, then a linear layer. Names as in the reference's state_dict.
package struct TokenMLP: Sendable, Hashable {
    /// w, of the stream and the condition.
    package let width: Int
    /// Blocks.
    package let depth: Int
    /// Values of a row that comes out.
    package let outputs: Int
    /// First values of the last layer's weights. All adaLN start at 0: a block then passes its input on.
    package let lastLayer: ParameterDeclaration.Initial
    private static let epsilon: Float = 1e-6

    package init(width: Int, depth: Int, outputs: Int, lastLayer: ParameterDeclaration.Initial = .zeros) {
        (self.width, self.depth, self.outputs, self.lastLayer) = (width, depth, outputs, lastLayer)
    }

    package func declarations(_ prefix: String) -> [ParameterDeclaration] {
        var list: [ParameterDeclaration] = []
        for index in 0..<depth {
            let block = prefix + "res_blocks.\(index)."
            list += ParameterDeclaration.layerNorm(block + "in_ln", width)
            list += ParameterDeclaration.linear(block + "mlp.0", width, width, .glorot)
            list += ParameterDeclaration.linear(block + "mlp.2", width, width, .glorot)
            list += ParameterDeclaration.linear(block + "adaLN_modulation.1", width, 3 * width, .zeros)
        }
        list += ParameterDeclaration.linear(prefix + "final_layer.linear", width, outputs, lastLayer)
        return list + ParameterDeclaration.linear(prefix + "final_layer.adaLN_modulation.1", width, 2 * width, .zeros)
    }

    /// The two linear layers with SiLU between them that embed a number: `name`.0 and `name`.2.
    package static func embedding(_ name: String, _ inputs: Int, _ width: Int) -> [ParameterDeclaration] {
        ParameterDeclaration.linear(name + ".0", inputs, width, .normal(0.02))
            + ParameterDeclaration.linear(name + ".2", width, width, .normal(0.02))
    }

    /// What `embedding` declares, applied to x [..., inputs] -> [..., w].
    package static func embed(_ x: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try scope.linear(scope.graph.silu(scope.linear(x, "0")), "2")
    }

    /// x [m G, w], the condition [m, w] of G rows each that stand together -> [m G, outputs]. `temperature` multiplies the blocks'
    /// shifts, not the last layer's.
    package func callAsFunction(
        _ x: Tensor, condition: Tensor, _ scope: ParameterScope, temperature: Float = 1
    ) throws -> Tensor {
        let graph = scope.graph
        let rows = condition.type.rows
        guard rows > 0, x.type.rows % rows == 0, x.type.columns == width, condition.type.columns == width else {
            throw GraphError("token head: rows \(x.type) and conditions \(condition.type) do not go together")
        }
        let map = RowMap(span: x.type.rows / rows)
        let active = try graph.silu(condition)
        func modulation(_ scope: ParameterScope, _ parts: Int) throws -> [Tensor] {
            try graph.split(graph.reshape(scope.linear(active, "adaLN_modulation.1"), [rows, parts, width]), axis: 1)
        }
        var x = x
        for index in 0..<depth {
            let block = scope.scope("res_blocks.\(index)")
            x = try graph.segment {
                let m = try modulation(block, 3)
                let normed = try block.layerNorm(
                    x, "in_ln", epsilon: Self.epsilon,
                    modulation: Modulation(shift: graph.scale(m[0], by: temperature), scale: m[1], map: map))
                let h = try block.linear(graph.silu(block.linear(normed, "mlp.0")), "mlp.2")
                return try graph.residual(x, h, gate: m[2], map: map)
            }
        }
        let final = scope.scope("final_layer")
        let m = try modulation(final, 2)
        return try final.linear(
            graph.layerNorm(x, epsilon: Self.epsilon, Modulation(shift: m[0], scale: m[1], map: map)), "linear")
    }
}

extension TokenMLP {
    /// What the kernels of a drawing take of it; nil where it is too large for them.
    package var small: TokenNetworkShape? {
        let shape = TokenNetworkShape(width: width, depth: depth, outputs: outputs)
        return shape.isSmall ? shape : nil
    }

    /// Its weights as those kernels read them, behind them those of the linear layer `input` where it is named; nil where it is too
    /// large for them.
    package func packed(_ scope: ParameterScope, input: String? = nil) throws -> Tensor? {
        guard small != nil else { return nil }
        func layer(_ name: String) throws -> TokenNetworkWeights.Layer {
            try .init(weight: scope.parameter(name + ".weight"), bias: scope.parameter(name + ".bias"))
        }
        let blocks = try (0..<depth).map { index in
            let block = "res_blocks.\(index)."
            return try TokenNetworkWeights.Block(
                norm: layer(block + "in_ln"), modulation: layer(block + "adaLN_modulation.1"), first: layer(block + "mlp.0"),
                second: layer(block + "mlp.2"))
        }
        return try scope.graph.tokenWeights(
            TokenNetworkWeights(
                blocks: blocks, modulation: layer("final_layer.adaLN_modulation.1"), last: layer("final_layer.linear"),
                input: input.map(layer)))
    }

    /// The same as a call with one row of the condition for each of x, by `weights` that are `packed` where there are any.
    package func draw(
        _ x: Tensor, condition: Tensor, weights: Tensor?, _ scope: ParameterScope, temperature: Float = 1
    ) throws -> Tensor {
        guard let weights, let small else { return try self(x, condition: condition, scope, temperature: temperature) }
        return try scope.graph.tokenNetwork(x, condition: condition, weights: weights, shape: small, temperature: temperature)
    }
}

extension Condition {
    /// Of a training step of a token head: z as rows [n, D], and as many real tokens [n, C], of width `tokenWidth`.
    func rows(_ step: StepInputs, tokenWidth: Int, _ graph: Graph) throws -> (z: Tensor, targets: Tensor) {
        guard let z, z.type.rank == 3 else { throw GraphError("token head: the stage gives no z [B, M, D]; take a stage that does") }
        let (targets, count) = (self.targets ?? step.real, z.type.rows)
        guard targets.type.columns == tokenWidth, targets.type.rows == count else {
            throw GraphError("token head: real tokens \(targets.type) for z \(z.type); as many of \(tokenWidth) values are needed")
        }
        return (try graph.reshape(z, [count, z.type.columns]), try graph.reshape(targets, [count, tokenWidth]))
    }
}
