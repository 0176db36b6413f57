/// Values for the inputs of a graph that lie in one block, on their way to the device in one transfer. What is not set is 0.
public struct InputBlock: Sendable {
    public let storage: Storage
    private let graph: GraphIdentity
    /// Words of each tensor, by id.
    private let ranges: [Int: Range<Int>]
    private var words: [UInt32]

    init(_ storage: Storage, of graph: GraphIdentity, ranges: [Int: Range<Int>]) {
        (self.storage, self.graph) = (storage, graph)
        self.ranges = ranges
        words = [UInt32](repeating: 0, count: storage.count)
    }

    /// Sets all values of a tensor. Throws where they are not as many, or where it lies elsewhere.
    public mutating func set<T: BitwiseCopyable>(_ values: [T], _ tensor: Tensor) throws {
        try graph.check([tensor], "input block \(storage.name)")
        guard let range = ranges[tensor.id], MemoryLayout<T>.size == 4, values.count == range.count else {
            throw GraphError("input block \(storage.name): \(values.count) values of \(T.self) for \(tensor.type)")
        }
        values.withUnsafeBytes { source in
            words.withUnsafeMutableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: bytes[(4 * range.lowerBound)..<(4 * range.upperBound)])
                    .copyMemory(from: source)
            }
        }
    }

    /// Writes the block behind the work issued so far.
    public func write(to memory: DeviceMemory) throws { try memory.write(words, to: storage) }
}

extension Graph {
    /// The block of inputs called `name`, with all that were made so far.
    public func inputBlock(_ name: String) -> InputBlock {
        var ranges: [Int: Range<Int>] = [:]
        var storage = Storage(name, count: 0, element: .uint32, grows: true)
        for (id, place) in places where place.storage.name == name {
            ranges[id] = place.offset..<(place.offset + place.count)
            if place.storage.count > storage.count { storage = place.storage }
        }
        return InputBlock(storage, of: identity, ranges: ranges)
    }
}
