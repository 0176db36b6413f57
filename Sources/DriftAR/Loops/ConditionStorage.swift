import DriftGPU

/// What the encoder makes of a label.
package struct LabelCondition: Sendable, Equatable {
    /// [R, D].
    package let z: [Float]
    /// [R]; empty where the stage has none.
    package let entropy: [Float]
}

/// Where the conditions of a batch of labels lie on the device: encoder's results, draft and decoder meet here, each with a
/// graph of its own. Batches of other numbers of labels lie in the same storages, one after the other.
package struct ConditionStorage {
    let labels: Int
    private let tokens: Int
    private let width: Int
    private let hasEntropy: Bool

    init(labels: Int, _ shape: LabelStage.Shape) {
        (self.labels, hasEntropy) = (labels, shape.hasEntropy)
        tokens = shape.tokens
        width = shape.embed
    }

    /// Of the labels themselves; the unconditional one has a place of its own.
    var z: Storage { features("z") }
    var entropy: Storage { map("entropy") }
    var unconditionalZ: Storage { Storage("sample_unconditional_z", count: tokens * width) }
    var unconditionalEntropy: Storage { Storage("sample_unconditional_entropy", count: tokens) }
    /// The draft's features where they were accepted, z elsewhere.
    var merged: Storage { features("merged") }
    var draftEntropy: Storage { map("draft_entropy") }
    /// Distance of each of the draft's features from z, and 1 where it was accepted.
    var distance: Storage { map("distance") }
    var accepted: Storage { map("accepted") }
    /// Longest accepted prefix of each label.
    var prefix: Storage { Storage("sample_prefix", count: labels, grows: true) }

    private func features(_ what: String) -> Storage {
        Storage("sample_" + what, count: labels * tokens * width, grows: true)
    }
    private func map(_ what: String) -> Storage { Storage("sample_" + what, count: labels * tokens, grows: true) }

    /// The conditions as tensors of a graph.
    func condition(in graph: Graph) throws -> Condition {
        let z = try features(z, in: graph)
        return Condition(labels: nil, z: z, entropy: hasEntropy ? try map(entropy, in: graph) : nil)
    }

    /// The unconditional one.
    func unconditional(in graph: Graph) throws -> Condition {
        try Condition(
            labels: nil, z: features(unconditionalZ, in: graph), entropy: hasEntropy ? map(unconditionalEntropy, in: graph) : nil)
    }

    /// The tensor [L, R, D] of one of the features in a graph.
    func features(_ storage: Storage, in graph: Graph) throws -> Tensor {
        try graph.stored([storage.count / (tokens * width), tokens, width], in: storage)
    }

    /// The tensor [L, R] of one of the maps in a graph.
    func map(_ storage: Storage, in graph: Graph) throws -> Tensor {
        try graph.stored([storage.count / tokens, tokens], in: storage)
    }
}
