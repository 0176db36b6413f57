import DriftGPU

/// The pre-norm transformer block (ViT's), of all encoders, MAR's decoder, the draft model and phi:
/// x + proj(attention(norm1 x)), then x + fc2(gelu(fc1(norm2 x))).
public struct AttentionBlock: Sendable {
    public let width: Int
    public let heads: Int
    public let hidden: Int
    public let epsilon: Float

    public init(width: Int, heads: Int, hidden: Int, epsilon: Float) {
        self.width = width
        self.heads = heads
        self.hidden = hidden
        self.epsilon = epsilon
    }

    /// `weight`: how the weights of linear layers start.
    package func declarations(_ prefix: String, weight: ParameterDeclaration.Initial = .fanIn) -> [ParameterDeclaration] {
        ParameterDeclaration.layerNorm(prefix + "norm1", width)
            + ParameterDeclaration.linear(prefix + "attn.qkv", width, 3 * width, weight)
            + ParameterDeclaration.linear(prefix + "attn.proj", width, width, weight)
            + ParameterDeclaration.layerNorm(prefix + "norm2", width)
            + ParameterDeclaration.linear(prefix + "mlp.fc1", width, hidden, weight)
            + ParameterDeclaration.linear(prefix + "mlp.fc2", hidden, width, weight)
    }

    /// [B, N, D] -> [B, N, D], and the packed query, key and value [B, N, 3 D], from which the entropy is computed. One
    /// segment of the graph.
    public func callAsFunction(
        _ x: Tensor, _ scope: ParameterScope, mask: AttentionMask = .none, dropout: Dropout? = nil
    ) throws -> (output: Tensor, qkv: Tensor) {
        try scope.graph.segment { try apply(x, scope, mask: mask, dropout: dropout) }
    }

    private func apply(
        _ x: Tensor, _ scope: ParameterScope, mask: AttentionMask, dropout: Dropout?
    ) throws -> (output: Tensor, qkv: Tensor) {
        let graph = scope.graph
        let qkv = try scope.linear(scope.layerNorm(x, "norm1", epsilon: epsilon), "attn.qkv")
        let attended = try graph.selfAttention(qkv, heads: heads, mask: mask, dropout: dropout)
        let h = try graph.residual(x, scope.linear(attended, "attn.proj"), dropout: dropout)
        let activated = try graph.gelu(scope.linear(scope.layerNorm(h, "norm2", epsilon: epsilon), "mlp.fc1"))
        return (try graph.residual(h, scope.linear(activated, "mlp.fc2"), dropout: dropout), qkv)
    }
}
