import DriftGPU

/// Where the device finds what its random numbers of a drawing are functions of: the seed, the labels of a batch and the number of each
/// label's first image. An image has the same numbers whatever else is drawn with it.
struct DrawingSource {
    /// The seed [2]; the number of each label's first image [1].
    private let key: Storage
    private let first: Storage
    /// Distinct labels [L].
    private let distinct: Storage

    /// `loop`: how the storages' names begin.
    init(loop: String, labels: Int) {
        key = Storage(loop + "_key", count: 2, element: .uint32)
        first = Storage(loop + "_first", count: 1, element: .uint32)
        distinct = Storage(loop + "_distinct", count: labels, element: .int32, grows: true)
    }

    func write(_ labels: [Int], firstImage: Int, seed: UInt64, to memory: DeviceMemory) throws {
        try memory.write([UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)], to: key)
        try memory.write(labels.map(Int32.init), to: distinct)
        try memory.write([UInt32(firstImage)], to: first)
    }

    /// The numbers of a stream of the seed. `round` [1] uint32: the lowest 16 bits of the stream.
    func numbers(_ stream: Int, round: Tensor, _ graph: Graph) throws -> NoiseSource {
        try NoiseSource(
            stream: stream, key: graph.stored([2], in: key), labels: graph.stored([distinct.count], in: distinct),
            firstImage: graph.stored([1], in: first), round: round)
    }
}
