import DriftGPU

/// The block of the drift decoder and of TransDiff's flow decoder: self-attention and MLP modulated and gated by AdaLN, between them plain cross-attention to the
/// conditioning tokens.
///
/// x and context may differ in batch: G images of a label share one context (and one modulation) when the context's batch
/// is G times smaller.
public struct CrossAttentionBlock: Sendable {
    public let width: Int
    public let contextWidth: Int
    public let heads: Int
    public let hidden: Int
    public let epsilon: Float

    public init(width: Int, contextWidth: Int, heads: Int, hidden: Int, epsilon: Float) {
        self.width = width
        self.contextWidth = contextWidth
        self.heads = heads
        self.hidden = hidden
        self.epsilon = epsilon
    }

    /// `weight`: how the weights of linear layers start.
    package func declarations(_ prefix: String, weight: ParameterDeclaration.Initial = .fanIn) -> [ParameterDeclaration] {
        [.init(prefix + "scale_shift_table", [1, 6, width], .normal(1 / Float(width).squareRoot()))]
            + ParameterDeclaration.layerNorm(prefix + "norm1", width)
            + ParameterDeclaration.linear(prefix + "attn1.qkv", width, 3 * width, weight)
            + ParameterDeclaration.linear(prefix + "attn1.proj", width, width, weight)
            + ParameterDeclaration.layerNorm(prefix + "norm2", width)
            + ParameterDeclaration.linear(prefix + "attn2.wq", width, width, weight)
            + ParameterDeclaration.linear(prefix + "attn2.wk", contextWidth, width, weight)
            + ParameterDeclaration.linear(prefix + "attn2.wv", contextWidth, width, weight)
            + ParameterDeclaration.linear(prefix + "attn2.proj", width, width, weight)
            + ParameterDeclaration.layerNorm(prefix + "norm3", width)
            + ParameterDeclaration.linear(prefix + "mlp.fc1", width, hidden, weight)
            + ParameterDeclaration.linear(prefix + "mlp.fc2", hidden, width, weight)
    }

    /// Keys and values [L, M, D] of the conditioning tokens.
    package struct CrossKeys {
        package let key: Tensor
        package let value: Tensor

        package init(key: Tensor, value: Tensor) { (self.key, self.value) = (key, value) }
    }

    /// Those of a context [L, M, Dc].
    package func keys(of context: Tensor, _ scope: ParameterScope) throws -> CrossKeys {
        try CrossKeys(key: scope.linear(context, "attn2.wk"), value: scope.linear(context, "attn2.wv"))
    }

    /// x [B, R, D], context [L, M, Dc], modulation t [n, 6, D] with B a multiple of L and of n -> [B, R, D]. One segment of the graph.
    public func callAsFunction(
        _ x: Tensor, context: Tensor, modulation t: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        try scope.graph.segment {
            try apply(x, keys: { try keys(of: context, scope) }, modulation: modulation(t, scope), scope, dropout: dropout)
        }
    }

    /// The same with keys and values, and shifts, scales and gates, that were computed before.
    package func callAsFunction(
        _ x: Tensor, keys: CrossKeys, modulation: [Tensor], _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        try scope.graph.segment { try apply(x, keys: { keys }, modulation: modulation, scope, dropout: dropout) }
    }

    /// Shift, scale and gate of attention, then of the MLP [n, D]: of t [n, 6, D], this block's own table added.
    package func modulation(_ t: Tensor, _ scope: ParameterScope) throws -> [Tensor] {
        try scope.graph.split(scope.graph.addPeriodic(t, scope.parameter("scale_shift_table")), axis: 1)
    }

    private func apply(
        _ x: Tensor, keys: () throws -> CrossKeys, modulation m: [Tensor], _ scope: ParameterScope, dropout: Dropout?
    ) throws -> Tensor {
        let graph = scope.graph
        let map = RowMap(span: x.shape[0] / m[0].shape[0] * x.shape[1], inner: 1)

        let normed = try scope.layerNorm(
            x, "norm1", epsilon: epsilon, modulation: Modulation(shift: m[0], scale: m[1], map: map))
        let attended = try graph.selfAttention(scope.linear(normed, "attn1.qkv"), heads: heads, dropout: dropout)
        var h = try graph.residual(x, scope.linear(attended, "attn1.proj"), gate: m[2], map: map, dropout: dropout)

        let query = try scope.linear(scope.layerNorm(h, "norm2", epsilon: epsilon), "attn2.wq")
        let known = try keys()
        let crossed = try graph.crossAttention(query: query, key: known.key, value: known.value, heads: heads, dropout: dropout)
        h = try graph.residual(h, scope.linear(crossed, "attn2.proj"), dropout: dropout)

        let last = try scope.layerNorm(
            h, "norm3", epsilon: epsilon, modulation: Modulation(shift: m[3], scale: m[4], map: map))
        let activated = try graph.gelu(scope.linear(last, "mlp.fc1"))
        return try graph.residual(h, scope.linear(activated, "mlp.fc2"), gate: m[5], map: map, dropout: dropout)
    }
}
