import DriftFormats
import DriftGPU

/// The loop of causal autoregression with its keys and values kept: a pass over the class rows, then passes over tokens.
///
/// One token a pass is enqueued whole, without waiting for the host. Several at once are drawn from guesses: of the draft, or
/// what the pass before drew in the same places (parallel fixed-point decoding, as Jacobi's). The noise of a token is a function of the
/// seed, the image and the position, so a token whose predecessors were guessed right is what one after the other would have
/// given, and at tolerance 0 so are all. A pass may then make several final, another number for each image; the host reads how
/// far they are.
package final class CausalDecoding: GenerationLoop {
    package var encoder: LabelEncoder? { nil }
    package var speculation: SpeculativeLoop? { nil }
    package private(set) var decoding: DecodingFigures? = DecodingFigures()
    let stage: CausalStage
    let head: any TokenHead
    let context: SamplingContext
    private var plans: [CausalGraphs.Batch: Plan] = [:]
    private var isPrepared = false

    /// Bound graphs of a batch.
    private struct Plan {
        /// What is computed once for the weights.
        let preparation: Executor?
        /// The first token, and a pass behind it.
        let first: Program
        let next: Program
    }

    /// Random numbers in place of those of the seed.
    package struct Given {
        /// What each token starts from [b, R, W].
        package let start: [Float]
        /// Of the head's steps [N, b, R, C]; empty where steps draw nothing.
        package let steps: [Float]
        /// Classes of all conditions [B] in place of the labels, and of that of no label; nil: none.
        package let classes: [Int32]?

        package init(start: [Float], steps: [Float], classes: [Int32]? = nil) {
            (self.start, self.steps, self.classes) = (start, steps, classes)
        }
    }

    package init(_ stage: CausalStage, _ head: any TokenHead, _ context: SamplingContext) {
        (self.stage, self.head, self.context) = (stage, head, context)
    }

    package func reset() {
        isPrepared = false
        decoding = DecodingFigures()
    }

    package func prepare(_ labels: [Int], cfg: Float, speculation: Speculation?) throws {
        guard speculation == nil else {
            let instead = head.steps == 1 ? "take --parallel, which guesses tokens" : "leave it out"
            throw ConfigurationError("speculative: the stage \(stage.kind) has no draft of features; \(instead)")
        }
    }

    package func draw(
        _ labels: [Int], images: Range<Int>, cfg: Float, speculation: Speculation?, noise: DrawingNoise
    ) throws -> [Float] {
        try draw(labels, images: images, cfg: cfg, seed: noise.seed)
    }

    /// The same from random numbers that are `given`, or those of the seed.
    package func draw(_ labels: [Int], images: Range<Int>, cfg: Float, seed: UInt64, given: Given? = nil) throws -> [Float] {
        let (memory, clock, tokens) = (context.memory, context.clock, stage.shape.tokens)
        let batch = CausalGraphs.Batch(
            .init(labels: labels.count, perLabel: images.count), isGuided: cfg != 1, parallel: stage.drawing.parallel,
            tolerance: stage.drawing.parallel == 1 ? 0 : stage.drawing.tolerance, isGiven: given != nil)
        let plan = try clock.measure(.prepare) { try self.plan(batch) }
        return try clock.measure(.decode) { () -> [Float] in
            if !isPrepared { try plan.preparation?.run() }
            isPrepared = true
            try write(labels, images, cfg, batch, seed: seed, given: given)
            try plan.first.run()
            if batch.parallel == 1 {
                for _ in 1..<max(tokens, 1) { try plan.next.run() }
            } else {
                try guess(plan, batch)
            }
            try memory.device.finish()
            try count(batch)
            let count = batch.images * tokens * stage.shape.tokenWidth
            return try clock.measure(.readBack) {
                try memory.read(Float.self, from: CausalGraphs.Place.tokens(count), at: 0, count: count)
            }
        }
    }

    package func finish() {}

    /// Passes until every image is complete. Each makes a token final at least.
    private func guess(_ plan: Plan, _ batch: CausalGraphs.Batch) throws {
        let tokens = stage.shape.tokens
        var left = tokens - 1
        while left > 0 {
            // As many passes as there must be, however many tokens each makes final: the host waits for the device no more often.
            let passes = (left + batch.parallel - 1) / batch.parallel
            for _ in 0..<passes { try plan.next.run() }
            let known = try context.memory.read(Int32.self, from: CausalGraphs.Place.known(batch.images), at: 0, count: batch.images)
            // A device that says otherwise is not waited for.
            left = min(left - passes, tokens - Int(known.min() ?? 0))
        }
    }

    /// Adds up what the passes made final.
    private func count(_ batch: CausalGraphs.Batch) throws {
        let count = batch.images * batch.parallel
        let tally = try context.memory.read(Int32.self, from: CausalGraphs.Place.tally(count), at: 0, count: count)
        for (index, passes) in tally.enumerated() { decoding?.add(index % batch.parallel + 1, passes: Int(passes)) }
        guard batch.parallel > 1 else { return }
        let tokens = stage.shape.tokens
        let distances = try context.memory.read(Float.self, from: CausalGraphs.Place.distance(batch.images * tokens), count: batch.images * tokens)
        var entropies: [Float]?
        if stage.shape.draft != nil, stage.drawing.guess == .draft {
            entropies = try context.memory.read(
                Float.self, from: CausalGraphs.Place.draftEntropy(batch.images * tokens), count: batch.images * tokens)
        }
        for (index, distance) in distances.enumerated() where !(distance < 0) {
            decoding?.check(position: index % tokens, distance: distance, tolerance: batch.tolerance, entropy: entropies?[index])
        }
    }

    private func write(
        _ labels: [Int], _ images: Range<Int>, _ cfg: Float, _ batch: CausalGraphs.Batch, seed: UInt64, given: Given?
    ) throws {
        typealias Place = CausalGraphs.Place
        let (memory, tokens) = (context.memory, stage.shape.tokens)
        let spread = labels.flatMap { Array(repeating: Int32($0), count: images.count) }
        let without = [Int32](repeating: Int32(stage.shape.classes), count: batch.conditions - batch.images)
        try memory.write(given?.classes ?? spread + without, to: Place.classes(batch.conditions))
        try memory.write([Int32](repeating: 0, count: batch.images), to: Place.known(batch.images))
        try memory.write([Int32](repeating: 0, count: batch.images * batch.parallel), to: Place.tally(batch.images * batch.parallel))
        let places = batch.images * tokens
        try memory.write([Float](repeating: -1, count: places), to: Place.distance(places))
        let guesses = [Float](repeating: 0, count: batch.images * tokens * stage.shape.tokenWidth)
        try memory.write(guesses, to: Place.tokens(guesses.count))
        try memory.write(stage.drawing.strengths(cfg, tokens: tokens), to: Place.strengths(tokens))
        try Place.source(batch.size).write(labels, firstImage: images.lowerBound, seed: seed, to: memory)
        guard let given else { return }
        try memory.write(given.start, to: Place.start(given.start.count))
        if !given.steps.isEmpty { try memory.write(given.steps, to: Place.givenSteps(given.steps.count)) }
    }

    private func plan(_ batch: CausalGraphs.Batch) throws -> Plan {
        if let known = plans[batch] { return known }
        let graphs = try CausalGraphs(stage, head, context.weights, batch)
        let memory = context.memory
        func program(_ begin: Graph) throws -> Program {
            let program = Program()
            try program.append(memory.executor(begin))
            if let step = graphs.step { try program.append(memory.executor(step), times: head.steps) }
            if let end = graphs.end { try program.append(memory.executor(end)) }
            return program
        }
        let plan = try Plan(
            preparation: graphs.preparation.map { try memory.executor($0) }, first: program(graphs.first), next: program(graphs.next))
        plans[batch] = plan
        return plan
    }

    /// The graphs of drawings without guidance of these sizes.
    static func graphs(
        _ stage: CausalStage, _ head: any TokenHead, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph] {
        try batches.flatMap { size in
            try CausalGraphs(
                stage, head, weights,
                .init(size, isGuided: false, parallel: stage.drawing.parallel, tolerance: stage.drawing.tolerance)
            ).all
        }
    }
}
