/// How many tokens the passes of a causal model drew.
public struct DecodingFigures: Sendable, Codable, Equatable {
    /// Entry a - 1: passes over one image that made a tokens final.
    public private(set) var accepted: [Int] = []

    public init() {}

    /// A pass over one image made `tokens` of them final; none where the image was complete.
    mutating func add(_ tokens: Int, passes: Int = 1) {
        guard tokens > 0 else { return }
        if accepted.count < tokens { accepted += [Int](repeating: 0, count: tokens - accepted.count) }
        accepted[tokens - 1] += passes
    }

    /// Passes over single images.
    public var passes: Int { accepted.reduce(0, +) }
    public var tokens: Int { accepted.enumerated().reduce(0) { $0 + ($1.offset + 1) * $1.element } }
    /// Tokens a pass.
    public var tokensPerPass: Double { passes > 0 ? Double(tokens) / Double(passes) : 0 }
}
