/// What the transformers of stage and head have in common.
public struct NetworkSettings: Codable, Sendable, Equatable {
    /// D.
    public var embed = 64
    public var heads = 4
    /// Hidden width of the MLPs over the width.
    public var mlpRatio: Float = 4
    public var layerNormEpsilon: Float = 1e-6
    /// On attention weights and projections.
    public var dropout: Float = 0

    public init() {}

    /// The width of a head of attention.
    var headSize: Int { embed / heads }

    func validate() throws {
        try require(heads > 0 && embed > 0 && embed <= 16384 && embed % heads == 0, "embed \(embed): must be a multiple of heads (\(heads))")
        try require(headSize <= 128, "embed \(embed) / heads \(heads): head sizes go up to 128")
        try require(mlpRatio > 0 && mlpRatio <= 64, "mlp-ratio \(mlpRatio): take a number above 0, up to 64")
        try require(Int(Float(embed) * mlpRatio) > 0, "mlp-ratio \(mlpRatio): leaves no column of embed \(embed); take \(1 / Float(embed)) or more")
        try require(layerNormEpsilon > 0 && layerNormEpsilon.isFinite, "layer-norm-epsilon \(layerNormEpsilon): must be above 0")
        try require(dropout >= 0 && dropout < 1, "dropout \(dropout): take 0 up to, not including, 1")
    }
}
