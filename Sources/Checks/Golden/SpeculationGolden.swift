import DriftAR
import DriftFormats
import DriftGPU

/// The speculative loop, single and iterative, and the tracker of its thresholds. The reference's draft is verified at its own
/// position.
enum SpeculationGolden {
    static func speculation(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("sizes") { return try tracker(golden, comparison, device) }
        let model = try golden.generator()
        let run = GoldenGraph(golden, device)
        _ = try run.parameters(model.layout)
        if golden.has("in", "prefeed") { try feed(golden, run.memory) }
        let isIterative = golden.has("max_iterations")
        let settings = Speculation(
            threshold: Float(try golden.number("acceptance_threshold")), gamma: Float(try golden.number("gamma")),
            iterations: isIterative ? try golden.integer("max_iterations") : 1)
        let shared = try GoldenSet.current.get().find("sample/shared")
        let labels = (try shared.values("in", "labels", rank: 1).ints ?? []).map { Int($0) }
        // Of each round in turn.
        let noises = try isIterative ? golden.input("noises").floats ?? [] : shared.values("in", "noise").floats ?? []
        let size = labels.count * model.generator.tokens * model.generator.tokenWidth
        guard noises.count == size * settings.iterations else {
            throw DataError("noise of \(noises.count) values for \(settings.iterations) rounds of \(size)", at: golden.id, fix: "take another copy of the set")
        }
        let sampler = Sampler(model.generator, memory: run.memory, weights: "parameters", batchLimit: labels.count)
        let tokens = try sampler.tokens(
            labels: labels, perLabel: 1, cfg: Float(try golden.number("cfg")), speculation: settings
        ) { _, _, round in Array(noises[(round * size)..<((round + 1) * size)]) }

        let figures = sampler.speculativeFigures
        guard let batch = figures.batches.first, figures.batches.count == 1 else {
            return comparison.expect(false, "the loop reports \(figures.batches.count) batches, not one")
        }
        guard let (distance, accepted, prefix) = try sampler.loop?.verdict() else {
            return comparison.expect(false, "the sampler has no speculative loop")
        }
        try comparison.check("out", "distance", distance)
        try comparison.check("out", "accepted_mask", accepted)
        try comparison.check("out", "accepted_lengths", prefix)
        try comparison.check("out", "accepted_tokens_mean", [batch.acceptedLengthMean])
        try comparison.check("out", "draft_entropy_mean", [batch.draftEntropyMean])
        try comparison.check("out", "tau_context", [batch.tauContext])
        try comparison.check("out", "tau_global", [batch.tauGlobal])
        try comparison.check("out", "early_stopped", integers: [figures.endedEarly ? 1 : 0])
        try comparison.check("out", "total_iterations", integers: [Int32(figures.totalIterations)])
        try comparison.check("out", "total_accepted", [Float(figures.totalAccepted)])
        try comparison.check("out", "total_positions", integers: [Int32(figures.totalPositions)])
        try comparison.check("out", "acceptance_rate", [Float(figures.acceptanceRate)])
        comparison.expect(
            figures.labels.map(\.acceptedLength) == prefix.map { Int(exactly: $0) ?? -1 } && figures.labels.map(\.label) == labels,
            "the figures of the labels are not those of the device")
        try SamplingGolden.compare(tokens, of: run, comparison)
    }

    /// Has the loop's tracker see entropies before the first batch.
    private static func feed(_ golden: GoldenCase, _ memory: DeviceMemory) throws {
        let values = try golden.input("prefeed").floats ?? []
        let tracker = EntropyTracker(gamma: Float(try golden.number("gamma")))
        _ = try track(values, tracker, in: SpeculativeLoop.tracker, memory)
    }

    /// Adds entropies to a stored tracker; {tau_global, tau_context} and its state afterwards.
    private static func track(
        _ values: [Float], _ tracker: EntropyTracker, in storage: Storage, _ memory: DeviceMemory
    ) throws -> (thresholds: [Float], state: [Float]) {
        let graph = Graph()
        let entropy = try graph.input("entropies_\(values.count)", [values.count])
        let tracked = try graph.track(entropy, state: graph.stored([EntropyTracker.stateCount], in: storage), tracker)
        try graph.place(tracked.state, in: storage, at: 0)
        graph.output(tracked.thresholds)
        let executor = try memory.executor(graph)
        try executor.write(values, to: entropy)
        try executor.run()
        return (try executor.read(tracked.thresholds), try memory.read(Float.self, from: storage))
    }

    /// The tracker alone, over arrays of several sizes.
    private static func tracker(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let memory = DeviceMemory(device)
        let tracker = EntropyTracker(
            gamma: Float(try golden.number("gamma")), decay: Float(try golden.number("ema_decay")))
        var rows: [(thresholds: [Float], state: [Float])] = []
        for index in 0..<(try golden.numbers("sizes").count) {
            let values = try golden.input("array\(index)", rank: 1).floats ?? []
            rows.append(try track(values, tracker, in: SpeculativeLoop.tracker, memory))
        }
        try comparison.check("out", "tau_global", rows.map { $0.thresholds[0] })
        try comparison.check("out", "tau_context", rows.map { $0.thresholds[1] })
        try comparison.check("out", "running_mean", rows.map { $0.state[1] })
        try comparison.check("out", "running_var", rows.map { $0.state[2] })
        try comparison.check("out", "ema_entropy", rows.map { $0.state[3] })
    }
}
