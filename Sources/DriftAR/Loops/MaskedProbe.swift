import DriftGPU

/// Runs single rounds of masked autoregression and keeps what the loop does not: the entropies of all positions, and what there
/// was before each round. Without guidance.
package final class MaskedProbe {
    private let loop: MaskedRounds
    private var programs: [Key: Program] = [:]

    private struct Key: Hashable {
        let batch: RoundGraphs.Batch
        let settings: RoundSettings
        let round: RoundSettings.Round
    }

    /// What a round found and made of b images of R tokens.
    struct Look: Sendable {
        let round: RoundSettings.Round
        /// [b, R, C], zeros where they are hidden.
        let before: [Float]
        /// [b, R]: where a hidden position looks; the others have one, too.
        let entropy: [Float]
        /// [b, R] of which it draws those at `round.drawn`.
        let orders: [Int32]
        /// [b, R, C].
        let after: [Float]
    }

    package init(_ loop: MaskedRounds) { self.loop = loop }

    /// The rounds of a drawing, as the loop's settings have them.
    func rounds(_ labels: [Int], images: Range<Int>, seed: UInt64) throws -> [Look] {
        let batch = batch(labels, images)
        try loop.write(labels, images, 1, batch, seed: seed)
        var before = [Float](repeating: 0, count: batch.images * loop.stage.shape.tokens * loop.stage.shape.tokenWidth)
        return try loop.settings.plan(tokens: loop.stage.shape.tokens).map { round in
            let look = try look(batch, loop.settings, round, before)
            before = look.after
            return look
        }
    }

    /// Images of known tokens `real` [b, R, C] after a round that hid and drew those at the first `hidden` places of the
    /// `orders` [b, R]. Label by label, as many images of each as there are numbers in `images`; they decide the noise.
    func fill(
        _ real: [Float], _ labels: [Int], images: Range<Int>, orders: [Int32], hidden: Int, seed: UInt64
    ) throws -> Look {
        let (batch, tokens) = (batch(labels, images), loop.stage.shape.tokens)
        try loop.write(labels, images, 1, batch, seed: seed, orders: orders, known: real)
        var settings = loop.settings
        (settings.rounds, settings.order) = (1, .random)
        return try look(batch, settings, RoundSettings.Round(known: hidden..<tokens, drawn: 0..<hidden), real)
    }

    private func batch(_ labels: [Int], _ images: Range<Int>) -> RoundGraphs.Batch {
        RoundGraphs.Batch(.init(labels: labels.count, perLabel: images.count), isGuided: false, keepsEntropy: true)
    }

    private func look(
        _ batch: RoundGraphs.Batch, _ settings: RoundSettings, _ round: RoundSettings.Round, _ before: [Float]
    ) throws -> Look {
        let (memory, positions) = (loop.context.memory, batch.images * loop.stage.shape.tokens)
        let key = Key(batch: batch, settings: settings, round: round)
        let program = try programs[key] ?? loop.program(
            [RoundGraphs.one(loop.stage, loop.head, loop.context.weights, batch, settings, round)])
        programs[key] = program
        try loop.prepareHead()
        try program.run()
        return Look(
            round: round, before: before,
            entropy: try memory.read(Float.self, from: RoundGraphs.Place.entropy(positions), count: positions),
            orders: try memory.read(Int32.self, from: RoundGraphs.Place.order(positions), count: positions),
            after: try memory.read(Float.self, from: RoundGraphs.Place.tokens(before.count), count: before.count))
    }
}
