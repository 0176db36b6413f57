import DriftGPU

/// The decisions of the speculative loop: what is accepted, what the tracker holds, when the rounds end.
enum SpeculationCases: OperationCases {
    static let families = [OperationFamily("speculation", all, untimed: "sampling; bench sample times it with the rest")]

    /// Every case.
    static let all: [OperationCase] = verifications + trackings + loops

    // MARK: Verification

    static let verifications = [
        verification(3, 16, 64, threshold: 11.3), verification(2, 7, 1, threshold: 1, shift: 1),
        verification(1, 70, 50, threshold: 10, shift: 1), verification(4, 5, 33, threshold: 0),
        verification(2, 9, 130, threshold: 1000), verification(2, 300, 3, threshold: 2.4),
    ]

    /// Proposals around the target: about half of them are nearer than `threshold` where it is sqrt(2 D).
    static func verification(_ batch: Int, _ positions: Int, _ width: Int, threshold: Float, shift: Int = 0) -> OperationCase {
        let shape = [batch, positions, width]
        return OperationCase(
            name: "draft_verification \(batch) x \(positions) x \(width) below \(threshold) shifted by \(shift)",
            inputs: [.init(shape: shape, isDifferentiable: false), .init(shape: shape, isDifferentiable: false)],
            build: { graph, x in
                let verdict = try graph.verifyDraft(x[0], against: x[1], threshold: threshold, shift: shift)
                // Infinite distances cannot be compared as numbers.
                let distance = try graph.slice(verdict.distance, axis: 1, shift..<positions)
                return [verdict.merged, distance, verdict.accepted, verdict.prefix, verdict.total]
            },
            reference: { x in
                var (merged, distances, accepted, prefixes) = (x[1], [Double](), [Double](), [Double]())
                for b in 0..<batch {
                    var prefix = 0
                    for r in 0..<positions {
                        let own = (b * positions + r) * width
                        let other = own - shift * width
                        guard r >= shift else {
                            accepted.append(0)
                            continue
                        }
                        let square = (0..<width).reduce(0.0) { sum, i in
                            let d = x[0][other + i] - x[1][own + i]
                            return sum + d * d
                        }
                        distances.append(square.squareRoot())
                        let isAccepted = square.squareRoot() < Double(threshold)
                        accepted.append(isAccepted ? 1 : 0)
                        if isAccepted, prefix == r - shift { prefix += 1 }
                        if isAccepted { for i in 0..<width { merged[own + i] = x[0][other + i] } }
                    }
                    prefixes.append(Double(prefix))
                }
                let totals = (0..<batch).map { accepted[($0 * positions)..<(($0 + 1) * positions)].reduce(0, +) }
                return [merged, distances, accepted, prefixes, totals]
            })
    }

    // MARK: Tracker

    static let fresh: [Float] = [0, 0, 0, 0]
    static let used: [Float] = [170, 0.4, 0.03, 0.25]

    static let trackings = [
        tracking([16], fresh, EntropyTracker()), tracking([1], fresh, EntropyTracker(gamma: 0.5)),
        tracking([1], used, EntropyTracker()), tracking([3, 16], used, EntropyTracker(gamma: 1.5, decay: 0.5, group: 7)),
        tracking([5, 131], fresh, EntropyTracker(gamma: 0, group: 3)), tracking([41, 64], used, EntropyTracker()),
    ]

    static func tracking(_ shape: [Int], _ state: [Float], _ tracker: EntropyTracker) -> OperationCase {
        OperationCase(
            name: "entropy_tracker \(shape.map(String.init).joined(separator: " x ")) of \(tracker.group) gamma \(tracker.gamma) after \(Int(state[0]))",
            inputs: [
                .init(shape: shape, values: .uniform(0, 1), isDifferentiable: false),
                .init(shape: [4], values: .floats(state), isDifferentiable: false),
            ],
            build: { graph, x in
                let result = try graph.track(x[0], state: x[1], tracker)
                return try parts(graph, result.state) + [result.thresholds]
            },
            reference: { x in
                var tracked = Tracked(x[1])
                tracked.add(x[0], tracker)
                return tracked.parts + [[tracked.global, tracked.context(tracker)]]
            })
    }

    /// The count is far larger than the rest of a state: each value is compared on its own scale.
    private static func parts(_ graph: Graph, _ state: Tensor) throws -> [Tensor] {
        try (0..<EntropyTracker.stateCount).map { try graph.slice(state, axis: 0, $0..<($0 + 1)) }
    }

    /// The tracker in double precision.
    struct Tracked {
        var (count, mean, variance, average) = (0.0, 0.0, 0.0, 0.0)

        init(_ state: [Double]) { (count, mean, variance, average) = (state[0], state[1], state[2], state[3]) }

        var parts: [[Double]] { [[count], [mean], [variance], [average]] }
        var global: Double { 0.3 * mean - 0.1 * max(variance, 0).squareRoot() }
        func context(_ tracker: EntropyTracker) -> Double { Double(tracker.gamma) * average }

        mutating func add(_ values: [Double], _ tracker: EntropyTracker) {
            let group = Double(tracker.group)
            let n = Double(values.count) * group
            let own = values.reduce(0, +) / Double(values.count)
            let squares = group * values.reduce(0) { $0 + ($1 - own) * ($1 - own) }
            let spread = n > 1 ? squares / (n - 1) : 0
            let total = count + n
            variance = (variance * count + spread * n) / total + (own - mean) * (own - mean) * count * n / (total * total)
            mean = (mean * count + own * n) / total
            if count == 0 {
                average = tracker.gamma > 0 ? global / Double(tracker.gamma) : own
            } else {
                average = Double(tracker.decay) * average + (1 - Double(tracker.decay)) * own
            }
            count = total
        }
    }

    // MARK: Rounds

    /// A state whose thresholds are high and fall: the loop ends in its first round, or in a later one.
    static let high: [Float] = [100, 40, 0.5, 50]
    /// The EMA is low and rises by a tenth of the way in each round.
    static let rising: [Float] = [5000, 3, 0.01, 0.1]

    static let loops = [
        loop(3, 16, rounds: 4, fresh, EntropyTracker()), loop(1, 1, rounds: 1, fresh, EntropyTracker()),
        loop(5, 33, rounds: 3, high, EntropyTracker()), loop(2, 9, rounds: 64, rising, EntropyTracker(gamma: 1)),
        loop(70, 16, rounds: 2, used, EntropyTracker(gamma: 0.3, group: 5)),
    ]

    static func loop(_ batch: Int, _ positions: Int, rounds: Int, _ state: [Float], _ tracker: EntropyTracker) -> OperationCase {
        let shape = [batch, positions]
        return OperationCase(
            name: "speculative_rounds \(rounds) over \(batch) x \(positions) of \(tracker.group) after \(Int(state[0]))",
            inputs: [
                .init(shape: shape, values: .uniform(0.3, 1), isDifferentiable: false),
                .init(shape: shape, values: .uniform(0, 0.9), isDifferentiable: false),
                .init(shape: [batch], values: .floats((0..<batch).map { Float($0 % (positions + 1)) }), isDifferentiable: false),
                .init(shape: [4], values: .floats(state), isDifferentiable: false),
            ],
            build: { graph, x in
                let result = try graph.speculativeRounds(
                    rounds, entropy: x[0], draftEntropy: x[1], prefix: x[2], state: x[3], tracker)
                return try parts(graph, result.state) + [result.figures]
            },
            reference: { x in
                var tracked = Tracked(x[3])
                let draft = x[1].reduce(0, +) / Double(x[1].count)
                var (taken, isConfident) = (0, false)
                while taken < rounds, !isConfident {
                    tracked.add(x[0], tracker)
                    isConfident = draft < min(tracked.global, tracked.context(tracker))
                    taken += 1
                }
                let prefix = x[2].reduce(0, +) / Double(batch)
                return tracked.parts + [
                    [Double(taken), prefix, draft, tracked.global, tracked.context(tracker), isConfident ? 1 : 0]
                ]
            })
    }
}
