/// What the speculative loop reports.
public struct SpeculativeFigures: Sendable, Codable {
    /// One call of the loop: the labels and images that were decoded together.
    public struct Batch: Sendable, Codable {
        public let labels: Int
        public let perLabel: Int
        /// R.
        public let positions: Int
        public let rounds: Int
        /// Mean over the labels of the longest accepted prefix.
        public let acceptedLengthMean: Float
        public let draftEntropyMean: Float
        public let tauGlobal: Float
        public let tauContext: Float
        public let endedEarly: Bool
    }

    /// What was accepted of one label's positions.
    public struct Label: Sendable, Codable {
        public let label: Int
        /// The longest accepted prefix.
        public let acceptedLength: Int
        /// All accepted positions.
        public let accepted: Int
    }

    public private(set) var batches: [Batch] = []
    public private(set) var labels: [Label] = []

    init() {}

    mutating func add(_ batch: Batch) { batches.append(batch) }
    mutating func add(_ label: Label) { labels.append(label) }

    /// Rounds of all batches.
    public var totalIterations: Int { batches.reduce(0) { $0 + $1.rounds } }
    /// Mean accepted prefixes of all rounds, added up.
    public var totalAccepted: Double { batches.reduce(0) { $0 + Double($1.rounds) * Double($1.acceptedLengthMean) } }
    /// Positions of all rounds.
    public var totalPositions: Int { batches.reduce(0) { $0 + $1.rounds * $1.positions } }
    public var acceptanceRate: Double { totalAccepted / Double(max(totalPositions, 1)) }
    /// Part of the positions that took the draft's features, before the first rejection or after it.
    public var acceptedShare: Double {
        let positions = labels.count * (batches.first?.positions ?? 0)
        return positions > 0 ? Double(labels.reduce(0) { $0 + $1.accepted }) / Double(positions) : 0
    }
    /// Whether the last batch ended early.
    public var endedEarly: Bool { batches.last?.endedEarly ?? false }
}
