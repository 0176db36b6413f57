/// What the inputs of a matrix product or a convolution are rounded to. Sums, stored tensors and everything else stay in single
/// precision.
public enum Precision: String, CaseIterable, Codable, Sendable {
    /// Not rounded.
    case fp32
    /// 11 significant bits, the exponents of single precision.
    case tf32
    /// 8 significant bits, the exponents of single precision.
    case bf16

    /// Significant bits, the leading one included.
    public var significantBits: Int {
        switch self {
        case .fp32: 24
        case .tf32: 11
        case .bf16: 8
        }
    }

    /// The nearest value of this precision, ties to even.
    public func rounded(_ x: Float) -> Float {
        let unit = x.ulp * Float(1 << (24 - significantBits))
        return x.isFinite ? (x / unit).rounded(.toNearestOrEven) * unit : x
    }
}
