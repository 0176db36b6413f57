/// How many tokens the passes of a causal model drew, and what became of the guesses they were drawn from.
public struct DecodingFigures: Sendable, Encodable, Equatable {
    /// Entry a - 1: passes over one image that made a tokens final.
    public private(set) var accepted: [Int] = []
    /// Of each position the images whose guess was checked when they came to it, and those whose guess was right.
    public private(set) var checked: [Int] = []
    public private(set) var right: [Int] = []
    /// The same by the draft's entropy, in tenths; empty where no draft guessed.
    public private(set) var checkedByEntropy: [Int] = []
    public private(set) var rightByEntropy: [Int] = []
    /// Sums over the guesses that were checked: how far they were off (root mean square), and for guesses of a draft the powers and the
    /// product of this and the draft's entropy.
    private var distance = 0.0
    private var finite = 0
    private var moments = Moments()

    private struct Moments: Sendable, Equatable {
        var (count, x, y, xx, yy, xy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    }

    private enum Key: CodingKey {
        case accepted, checked, right, checkedByEntropy, rightByEntropy, tokensPerPass, acceptance, meanDistance, correlation
    }

    public init() {}

    public func encode(to encoder: Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(accepted, forKey: .accepted)
        try container.encode(checked, forKey: .checked)
        try container.encode(right, forKey: .right)
        try container.encode(checkedByEntropy, forKey: .checkedByEntropy)
        try container.encode(rightByEntropy, forKey: .rightByEntropy)
        try container.encode(tokensPerPass, forKey: .tokensPerPass)
        try container.encodeIfPresent(acceptance, forKey: .acceptance)
        try container.encodeIfPresent(meanDistance, forKey: .meanDistance)
        try container.encodeIfPresent(correlation, forKey: .correlation)
    }

    /// A pass over one image made `tokens` of them final; none where the image was complete.
    mutating func add(_ tokens: Int, passes: Int = 1) {
        guard tokens > 0 else { return }
        if accepted.count < tokens { accepted += [Int](repeating: 0, count: tokens - accepted.count) }
        accepted[tokens - 1] += passes
    }

    /// The last guess of a token that was checked was so far off. `entropy`: the draft's, in [0, 1].
    mutating func check(position: Int, distance: Float, tolerance: Float, entropy: Float?) {
        func count(_ list: inout [Int], _ index: Int, _ isCounted: Bool) {
            if list.count <= index { list += [Int](repeating: 0, count: index + 1 - list.count) }
            list[index] += isCounted ? 1 : 0
        }
        let isRight = distance <= tolerance
        count(&checked, position, true)
        count(&right, position, isRight)
        guard distance.isFinite else { return }
        self.distance += Double(distance)
        finite += 1
        guard let entropy, entropy.isFinite else { return }
        let tenth = min(max(Int(entropy * 10), 0), 9)
        count(&checkedByEntropy, tenth, true)
        count(&rightByEntropy, tenth, isRight)
        let (x, y) = (Double(entropy), Double(distance))
        moments.count += 1
        (moments.x, moments.y) = (moments.x + x, moments.y + y)
        (moments.xx, moments.yy, moments.xy) = (moments.xx + x * x, moments.yy + y * y, moments.xy + x * y)
    }

    /// Passes over single images.
    public var passes: Int { accepted.reduce(0, +) }
    public var tokens: Int { accepted.enumerated().reduce(0) { $0 + ($1.offset + 1) * $1.element } }
    /// Tokens a pass.
    public var tokensPerPass: Double { passes > 0 ? Double(tokens) / Double(passes) : 0 }
    /// Share of the guesses checked that were right; nil where none was checked.
    public var acceptance: Double? {
        let all = checked.reduce(0, +)
        return all > 0 ? Double(right.reduce(0, +)) / Double(all) : nil
    }
    /// How far guesses were off in the mean (root mean square over a token's values).
    public var meanDistance: Double? { finite > 0 ? distance / Double(finite) : nil }
    /// Correlation of the draft's entropy with how far its guess was off; nil where no draft guessed, or one of them never changes.
    public var correlation: Double? {
        let m = moments
        guard m.count > 1 else { return nil }
        let spread = (m.xx - m.x * m.x / m.count) * (m.yy - m.y * m.y / m.count)
        return spread > 1e-12 * m.xx * m.yy ? (m.xy - m.x * m.y / m.count) / spread.squareRoot() : nil
    }
}
