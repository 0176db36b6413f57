import DriftGPU

/// The pre-norm decoder block of NextStep-1, which is LLaMA's with biases on queries, keys and values:
/// h = x + o(attention(norm x)), then h + down(silu(gate n) up n) with n = norm h. Norms are RMSNorm, queries and keys turn by
/// their positions (RoPE by halves of a head), and H / H_kv heads of queries share one of keys and values.
package struct CausalBlock: Sendable, Hashable {
    package let width: Int
    package let heads: Int
    /// H_kv, a divisor of the heads.
    package let keyHeads: Int
    /// Width between the layers of the MLP.
    package let hidden: Int
    package let epsilon: Float

    package init(width: Int, heads: Int, keyHeads: Int, hidden: Int, epsilon: Float) {
        (self.width, self.heads, self.keyHeads, self.hidden, self.epsilon) = (width, heads, keyHeads, hidden, epsilon)
    }

    /// Columns of a head.
    package var size: Int { width / heads }
    private var keyWidth: Int { keyHeads * size }

    package func declarations(_ prefix: String, weight: ParameterDeclaration.Initial) -> [ParameterDeclaration] {
        func product(_ name: String, _ input: Int, _ output: Int) -> ParameterDeclaration {
            .init(prefix + name + ".weight", [output, input], weight)
        }
        return ParameterDeclaration.linear(prefix + "self_attn.q_proj", width, width, weight)
            + ParameterDeclaration.linear(prefix + "self_attn.k_proj", width, keyWidth, weight)
            + ParameterDeclaration.linear(prefix + "self_attn.v_proj", width, keyWidth, weight)
            + [
                product("self_attn.o_proj", width, width), product("mlp.gate_proj", width, hidden),
                product("mlp.up_proj", width, hidden), product("mlp.down_proj", hidden, width),
                .init(prefix + "input_layernorm.weight", [width], .ones),
                .init(prefix + "post_attention_layernorm.weight", [width], .ones),
            ]
    }

    /// Whole sequences [B, N, D] -> [B, N, D], each position from itself and those before it, and query, key and value packed
    /// [B, N, 3 D] as they meet in the attention, from which the entropy is computed. `table` [N, D / H]: the angles of the
    /// positions. One segment of the graph.
    package func callAsFunction(
        _ x: Tensor, table: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> (output: Tensor, qkv: Tensor) {
        try scope.graph.segment {
            let graph = scope.graph
            var packed: Tensor?
            let output = try apply(x, scope, dropout: dropout) { query, key, value in
                let query = try graph.rotary(query, table: table, heads: heads)
                let key = try repeatHeads(graph.rotary(key, table: table, heads: keyHeads), graph)
                let qkv = try graph.concat([query, key, repeatHeads(value, graph)], axis: 2)
                packed = qkv
                return try graph.selfAttention(qkv, heads: heads, mask: .causal, dropout: dropout)
            }
            guard let packed else { throw GraphError("causal block: no attention") }
            return (output, packed)
        }
    }

    /// New rows [B, G, D] of sequences whose known[b mod n] + `offset` earlier rows are in the cache -> [B, G, D]. `table`
    /// [capacity, D / H]. `inspecting` is given the query [B, G, D], before it turns, when the cache has the new rows' keys.
    package func step(
        _ x: Tensor, cache: KeyValueCache, known: Tensor, offset: Int, table: Tensor, _ scope: ParameterScope,
        inspecting: (Tensor) throws -> Void = { _ in }
    ) throws -> Tensor {
        try apply(x, scope, dropout: nil) { query, key, value in
            let attended = try scope.graph.cachedAttention(
                query: query, key: key, value: value, heads: heads, cache: cache, known: known, offset: offset, table: table)
            try inspecting(query)
            return attended
        }
    }

    private func apply(
        _ x: Tensor, _ scope: ParameterScope, dropout: Dropout?, attend: (_ query: Tensor, _ key: Tensor, _ value: Tensor) throws -> Tensor
    ) throws -> Tensor {
        let graph = scope.graph
        let first = try scope.rmsNorm(x, "input_layernorm", epsilon: epsilon)
        let attended = try attend(
            scope.linear(first, "self_attn.q_proj"), scope.linear(first, "self_attn.k_proj"), scope.linear(first, "self_attn.v_proj"))
        let h = try graph.residual(x, scope.product(attended, "self_attn.o_proj"), dropout: dropout)
        let second = try scope.rmsNorm(h, "post_attention_layernorm", epsilon: epsilon)
        let gated = try graph.swiglu(scope.product(second, "mlp.gate_proj"), scope.product(second, "mlp.up_proj"))
        return try graph.residual(h, scope.product(gated, "mlp.down_proj"), dropout: dropout)
    }

    /// What a kernel takes of it that computes all blocks at once.
    func weights(_ scope: ParameterScope) throws -> CausalPassWeights.Block {
        func layer(_ name: String, hasBias: Bool) throws -> CausalPassWeights.Layer {
            try .init(weight: scope.parameter(name + ".weight"), bias: hasBias ? scope.parameter(name + ".bias") : nil)
        }
        return try CausalPassWeights.Block(
            norm: scope.parameter("input_layernorm.weight"),
            attention: ["q_proj", "k_proj", "v_proj"].map { try layer("self_attn." + $0, hasBias: true) }
                + [layer("self_attn.o_proj", hasBias: false)],
            secondNorm: scope.parameter("post_attention_layernorm.weight"),
            mlp: ["gate_proj", "up_proj", "down_proj"].map { try layer("mlp." + $0, hasBias: false) })
    }

    /// [B, N, H_kv size] -> [B, N, D]: each head as often as query heads share it, side by side.
    private func repeatHeads(_ x: Tensor, _ graph: Graph) throws -> Tensor {
        guard keyHeads < heads else { return x }
        let single = try graph.reshape(x, [x.type.rows * keyHeads, size])
        return try graph.reshape(graph.repeatEach(single, times: heads / keyHeads), [x.shape[0], x.shape[1], width])
    }
}
