import DriftData
import DriftFormats
import DriftGPU

/// The loop of masked autoregression: T rounds, in each of which the stage says of some tokens what the known ones make of them and
/// the head draws these. A batch is enqueued whole: no round and no step waits for the host.
package final class MaskedRounds: GenerationLoop {
    package var encoder: LabelEncoder? { nil }
    package var speculation: SpeculativeLoop? { nil }
    package var probe: MaskedProbe? { MaskedProbe(self) }
    let stage: MARStage
    let head: any TokenHead
    let settings: RoundSettings
    let context: SamplingContext
    private var programs: [RoundGraphs.Batch: Program] = [:]
    private var prepared: Executor?
    private var isPrepared = false

    /// Random numbers in place of those of the seed.
    package struct Given {
        /// [b, R]: rounds take the positions from the end.
        package let orders: [Int32]
        /// What each position starts from [b, R, W].
        package let start: [Float]
        /// Of the head's steps [N, b, R, C]; empty where steps draw nothing.
        package let steps: [Float]

        package init(orders: [Int32], start: [Float], steps: [Float]) { (self.orders, self.start, self.steps) = (orders, start, steps) }
    }

    package init(_ stage: MARStage, _ head: any TokenHead, _ settings: RoundSettings, _ context: SamplingContext) {
        (self.stage, self.head, self.settings, self.context) = (stage, head, settings, context)
    }

    package func reset() { isPrepared = false }

    package func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws {
        guard speculation == nil else {
            throw ConfigurationError("speculative: the stage \(stage.kind) has no draft; leave --speculative out")
        }
    }

    package func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: DrawingNoise
    ) throws -> [Float] {
        try draw(labels, images: images, cfg: cfg, seed: noise.seed)
    }

    /// The same from random numbers that are `given`, or those of the seed; after the last of the first `rounds`.
    package func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, seed: UInt64, given: Given? = nil, rounds: Int? = nil
    ) throws -> [Float] {
        let (memory, clock) = (context.memory, context.clock)
        let batch = RoundGraphs.Batch(
            .init(labels: labels.count, perLabel: images.count), isGuided: cfg != 1, isGiven: given != nil)
        let program = try clock.measure(.prepare) { try self.program(batch, rounds: rounds ?? settings.rounds) }
        let size = batch.images * stage.shape.tokens
        return try clock.measure(.decode) { () -> [Float] in
            try prepareHead()
            try write(labels, images, cfg, batch, seed: seed, given: given)
            try program.run()
            try memory.device.finish()
            return try clock.measure(.readBack) {
                try memory.read(
                    Float.self, from: RoundGraphs.Place.tokens(size * stage.shape.tokenWidth), at: 0, count: size * stage.shape.tokenWidth)
            }
        }
    }

    package func finish() {}

    /// Writes what a batch takes of the host. `orders` [b, R]: in place of the seed's; `known` [b, R, C]: what the tokens are before
    /// the first round, of which it sees those that its order says are known.
    func write(
        _ labels: [Int], _ images: Range<Int>, _ cfg: Float, _ batch: RoundGraphs.Batch, seed: UInt64, given: Given? = nil,
        orders: [Int32]? = nil, known: [Float]? = nil
    ) throws {
        typealias Place = RoundGraphs.Place
        let (memory, tokens) = (context.memory, stage.shape.tokens)
        let halves = batch.conditions / batch.images
        func twice<T>(_ values: [T]) -> [T] { halves == 1 ? values : values + values }
        let orders = given?.orders ?? orders ?? labels.flatMap { label in images.flatMap { Self.order(label, image: $0, tokens: tokens, seed: seed) } }
        try memory.write(twice(orders), to: Place.order(orders.count * halves))
        let spread = labels.flatMap { Array(repeating: Int32($0), count: images.count) }
        try memory.write(twice(spread), to: Place.labels(spread.count * halves))
        let keeps = (0..<batch.conditions).map { $0 < batch.images ? Float(1) : 0 }
        try memory.write(keeps, to: Place.keeps(keeps.count))
        try memory.write(settings.strengths(cfg, tokens: tokens).flatMap { [$0, 0, 0, 0] }, to: Place.strengths(settings.rounds))
        let start = known ?? [Float](repeating: 0, count: batch.images * tokens * stage.shape.tokenWidth)
        try memory.write(start, to: Place.tokens(start.count))
        try Place.source(batch.size).write(labels, firstImage: images.lowerBound, seed: seed, to: memory)
        guard let given else { return }
        try memory.write(given.start, to: Place.givenStart(given.start.count))
        if !given.steps.isEmpty { try memory.write(given.steps, to: Place.givenSteps(given.steps.count)) }
    }

    private static let orderStream: UInt32 = 0x2012_0000

    /// The order of an image's positions: a function of the seed, the label and the image's number.
    static func order(_ label: Int, image: Int, tokens: Int, seed: UInt64) -> [Int32] {
        let random = Philox(seed: seed)
        return StepPlan.order(tokens: tokens) { element in
            random.words(
                UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: image), UInt32(truncatingIfNeeded: label), orderStream)
        }
    }

    private func program(_ batch: RoundGraphs.Batch, rounds: Int) throws -> Program {
        if rounds == settings.rounds, let known = programs[batch] { return known }
        let program = try program(RoundGraphs.all(stage, head, context.weights, batch, settings).prefix(rounds))
        if rounds == settings.rounds { programs[batch] = program }
        return program
    }

    /// Rounds one after the other.
    func program(_ rounds: some Sequence<RoundGraphs>) throws -> Program {
        if prepared == nil, let made = try HeadSteps.prepare(head, context.weights) { prepared = try context.memory.executor(made.graph) }
        let program = Program()
        for graphs in rounds {
            try program.append(context.memory.executor(graphs.begin))
            if let step = graphs.step { try program.append(context.memory.executor(step), times: head.steps) }
            if let end = graphs.end { try program.append(context.memory.executor(end)) }
        }
        return program
    }

    /// Has the head compute what its steps share, once for the weights; a program has been made before.
    func prepareHead() throws {
        if !isPrepared { try prepared?.run() }
        isPrepared = true
    }

    /// The graphs of drawings without guidance of these sizes.
    static func graphs(
        _ stage: MARStage, _ head: any TokenHead, _ settings: RoundSettings, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph] {
        let prepared = try HeadSteps.prepare(head, weights).map { [$0.graph] } ?? []
        return try prepared + batches.flatMap { size in
            try RoundGraphs.all(stage, head, weights, .init(size, isGuided: false), settings).flatMap { [$0.begin] + [$0.step, $0.end].compactMap { $0 } }
        }
    }
}
