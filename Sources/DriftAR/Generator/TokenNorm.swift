import DriftGPU

/// What becomes of a token before it is stored, fed back and decoded; the same in training and in drawing.
public enum TokenNorm: String, Codable, Sendable, CaseIterable {
    case none
    /// Mean 0 and deviation 1 over its values (NextStep-1's `use_norm`).
    case layer
    /// Root mean square 1: on the sphere of radius sqrt(C) (SphereAR).
    case sphere

    /// Tokens [..., C].
    package func callAsFunction(_ tokens: Tensor, _ graph: Graph) throws -> Tensor {
        switch self {
        case .none: return tokens
        case .layer:
            let width = tokens.type.columns
            return try graph.layerNorm(
                tokens, weight: graph.constant("ones \(width)", [Float](repeating: 1, count: width), [width]),
                bias: graph.constant("zeros \(width)", [Float](repeating: 0, count: width), [width]), epsilon: 1e-6)
        case .sphere: return try graph.rmsNorm(tokens, epsilon: 1e-12)
        }
    }
}
