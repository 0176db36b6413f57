import DriftGPU

/// A block of DiT: self-attention and MLP, each behind a LayerNorm without parameters, modulated and gated by what adaLN makes
/// of the condition. The names are those of the DiT code.
public struct DiTBlock: Sendable {
    public let width: Int
    public let heads: Int
    /// Width between the layers of the MLP.
    public let hidden: Int
    public let epsilon: Float
    /// Angles by which queries and keys turn (RoPE); nil: none.
    public let rotary: RotaryTable?
    /// Whether each head of queries and keys is divided by its root mean square.
    public let normsQueryKey: Bool
    /// Whether the MLP is silu(a) b of two halves instead of gelu(a).
    public let hasSwiGLU: Bool

    package func declarations(_ prefix: String) -> [ParameterDeclaration] {
        var list = ParameterDeclaration.linear(prefix + "attn.qkv", width, 3 * width, .glorot)
        if normsQueryKey { list.append(.init(prefix + "attn.qk_norm.weight", [2, width / heads], .ones)) }
        list += ParameterDeclaration.linear(prefix + "attn.proj", width, width, .glorot)
        list += ParameterDeclaration.linear(prefix + "mlp.fc1", width, hasSwiGLU ? 2 * hidden : hidden, .glorot)
        list += ParameterDeclaration.linear(prefix + "mlp.fc2", hidden, width, .glorot)
        // adaLN-zero: all gates are 0 at the start, and the block passes its input on.
        return list + ParameterDeclaration.linear(prefix + "adaLN_modulation.1", width, 6 * width, .zeros)
    }

    /// x [L G, R, D], the activated condition [L, D] -> [L G, R, D]: the G images of a label share its modulation.
    public func callAsFunction(_ x: Tensor, condition: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        let labels = condition.shape[0]
        let m = try graph.split(
            graph.reshape(scope.linear(condition, "adaLN_modulation.1"), [labels, 6, width]), axis: 1)
        let map = RowMap(span: x.shape[0] / labels * x.shape[1])

        let first = try graph.layerNorm(x, epsilon: epsilon, Modulation(shift: m[0], scale: m[1], map: map))
        let qkv = try graph.queryKey(
            scope.linear(first, "attn.qkv"), heads: heads,
            norm: normsQueryKey ? (scope.parameter("attn.qk_norm.weight"), 1e-6) : nil, rotary: rotary)
        let attended = try scope.linear(graph.selfAttention(qkv, heads: heads), "attn.proj")
        let h = try graph.residual(x, attended, gate: m[2], map: map)

        let second = try graph.layerNorm(h, epsilon: epsilon, Modulation(shift: m[3], scale: m[4], map: map))
        let opened = try scope.linear(second, "mlp.fc1")
        let activated = try hasSwiGLU ? graph.swiglu(opened) : graph.gelu(opened)
        return try graph.residual(h, scope.linear(activated, "mlp.fc2"), gate: m[5], map: map)
    }
}

extension Graph {
    /// LayerNorm without parameters of its own, then the modulation.
    func layerNorm(_ x: Tensor, epsilon: Float, _ modulation: Modulation) throws -> Tensor {
        let width = x.type.columns
        return try layerNorm(
            x, weight: constant("ones \(width)", [Float](repeating: 1, count: width), [width]),
            bias: constant("zeros \(width)", [Float](repeating: 0, count: width), [width]), epsilon: epsilon,
            modulation: modulation)
    }
}
