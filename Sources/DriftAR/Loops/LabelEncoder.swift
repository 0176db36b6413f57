import DriftGPU

/// Turns labels into conditions, each label once as long as the weights stay the same: z and entropy depend on the label
/// alone. The label nil is the unconditional one of guidance.
package final class LabelEncoder {
    private let stage: LabelStage
    private let context: SamplingContext
    /// Graphs by the number of labels they take.
    private var encoders: [Int: Encoder] = [:]
    private var conditions: [Int?: LabelCondition] = [:]
    private var cache: LabelCache?
    /// Labels that went through the encoder, and those that came from the cache's file.
    private(set) var counts = (encoded: 0, read: 0)

    private struct Encoder {
        let labels: Tensor
        let drop: Tensor
        let z: Tensor
        let entropy: Tensor?
        let executor: Executor
    }

    init(_ stage: LabelStage, _ context: SamplingContext) { (self.stage, self.context) = (stage, context) }

    /// Forgets everything, the cache too: its file belongs to the weights as they were.
    func reset() {
        conditions = [:]
        cache = nil
        counts = (0, 0)
    }

    /// Has conditions read from and kept in a file; see `LabelCache`.
    func use(_ place: LabelCache.Place) throws {
        cache = try LabelCache(place, EncoderIdentity(stage, context), stage.shape)
    }

    /// Writes what is new to the cache's file.
    func save() throws { try cache?.save() }

    /// The condition of a label, encoded now if it has not been yet.
    func condition(_ label: Int?) throws -> LabelCondition {
        try encode([label])
        guard let condition = conditions[label] else { throw GraphError("label \(label ?? -1): was not encoded") }
        return condition
    }

    /// Writes the conditions of labels to their `ConditionStorage`.
    func load(_ labels: [Int], withUnconditional: Bool) throws {
        let (storage, memory) = (ConditionStorage(labels: labels.count, stage.shape), context.memory)
        let conditions = try labels.map { try condition($0) }
        try memory.write(conditions.flatMap(\.z), to: storage.z)
        if stage.hasEntropy { try memory.write(conditions.flatMap(\.entropy), to: storage.entropy) }
        if withUnconditional {
            let unconditional = try condition(nil)
            try memory.write(unconditional.z, to: storage.unconditionalZ)
            if stage.hasEntropy { try memory.write(unconditional.entropy, to: storage.unconditionalEntropy) }
        }
    }

    /// Encodes those labels that are not known yet.
    func encode(_ labels: [Int?]) throws {
        var missing: [Int?] = []
        for label in labels where conditions[label] == nil && !missing.contains(label) {
            if let known = try cache?.condition(label) {
                conditions[label] = known
                counts.read += 1
            } else {
                missing.append(label)
            }
        }
        for start in stride(from: 0, to: missing.count, by: Self.labelLimit) {
            try encodeTogether(Array(missing[start..<min(start + Self.labelLimit, missing.count)]))
        }
    }

    /// Most labels in one pass; more are encoded in several, so that few graphs serve any number.
    static let labelLimit = 16

    private func encodeTogether(_ labels: [Int?]) throws {
        let encoder = try encoders[labels.count] ?? context.clock.measure(.prepare) { try makeEncoder(labels.count) }
        let executor = encoder.executor
        try context.clock.measure(.encode) {
            try executor.write(labels.map { Int32($0 ?? 0) }, to: encoder.labels)
            try executor.write(labels.map { $0 == nil ? Float(0) : 1 }, to: encoder.drop)
            try executor.run()
            try context.memory.device.finish()
        }
        let (z, entropy) = try context.clock.measure(.readBack) {
            (try executor.read(encoder.z), try encoder.entropy.map { try executor.read($0) as [Float] })
        }
        let (zSize, tokens) = (stage.shape.tokens * stage.shape.embed, stage.shape.tokens)
        for (row, label) in labels.enumerated() {
            let condition = LabelCondition(
                z: Array(z[(row * zSize)..<((row + 1) * zSize)]),
                entropy: entropy.map { Array($0[(row * tokens)..<((row + 1) * tokens)]) } ?? [])
            conditions[label] = condition
            cache?.add(condition, of: label)
        }
        counts.encoded += labels.count
    }

    private func makeEncoder(_ count: Int) throws -> Encoder {
        let inputs = try Self.graph(stage, context.weights, labels: count)
        let encoder = Encoder(
            labels: inputs.labels, drop: inputs.drop, z: inputs.z, entropy: inputs.entropy,
            executor: try context.memory.executor(inputs.graph))
        encoders[count] = encoder
        return encoder
    }

    /// The graph that encodes `count` labels; an entry of `drop` below 1/2 makes its label the unconditional one.
    static func graph(
        _ stage: LabelStage, _ weights: StoredWeights, labels count: Int
    ) throws -> (graph: Graph, labels: Tensor, drop: Tensor, z: Tensor, entropy: Tensor?) {
        let graph = Graph()
        let labels = try graph.input("sample_labels", [count], .int32, grows: true)
        let drop = try graph.input("sample_drop", [count], grows: true)
        let condition = try graph.part(Graph.stage) { try stage.condition(labels: labels, drop: drop, weights.scope(graph)) }
        guard let z = condition.z else { throw GraphError("condition: there is no z") }
        graph.output(z)
        if let entropy = condition.entropy { graph.output(entropy) }
        return (graph, labels, drop, z, condition.entropy)
    }
}
