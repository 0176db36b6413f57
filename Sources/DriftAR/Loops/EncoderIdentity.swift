import DriftGPU

/// What the conditions of labels depend on: the encoder's weights, and the device that calculates, whose rounding is its own.
struct EncoderIdentity: Sendable, Equatable {
    /// A 64-bit hash, in hexadecimal, of the parameters the encoder reads, with their names, and of its sizes.
    let weights: String
    let device: String

    /// Reads the parameters from the buffer `weights`. Only those that the encoder's graph names count: a decoder that has
    /// been trained further leaves the conditions as they are.
    init(_ stage: LabelStage, _ context: SamplingContext) throws {
        let (weights, memory) = (context.weights, context.memory)
        let storage = weights.storage
        let graph = try LabelEncoder.graph(stage, weights, labels: 1).graph
        let offsets = Set(graph.places.values.filter { $0.storage == storage }.map(\.offset))
        var hash = WordHash()
        let shape = stage.shape
        for number in [shape.tokens, shape.embed, shape.heads, shape.encoderDepth, shape.buffer, shape.classes] {
            hash.add(UInt32(truncatingIfNeeded: number))
        }
        hash.add(shape.epsilon.bitPattern)
        // The same weights give another z where no block has a mask.
        if !shape.hasEntropy { hash.add(1) }
        for entry in weights.layout.entries where offsets.contains(entry.offset) {
            for byte in entry.name.utf8 { hash.add(UInt32(byte)) }
            let values = try memory.read(Float.self, from: storage, at: entry.offset, count: entry.count)
            for value in values { hash.add(value.bitPattern) }
        }
        self.weights = hash.text
        device = memory.device.arithmetic
    }

    /// One name for both.
    var name: String {
        var hash = WordHash()
        for byte in (weights + device).utf8 { hash.add(UInt32(byte)) }
        return hash.text
    }
}
