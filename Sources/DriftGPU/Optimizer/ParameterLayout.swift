/// Where each named parameter lies in the flat buffers of parameters, gradients, moments and EMA.
///
/// Every parameter begins on a block of 64 elements (256 bytes), so a flag per block tells the optimiser what a block
/// may do, and vectors never straddle two parameters. The padding is zero and stays zero.
public struct ParameterLayout: Sendable {
    /// One parameter.
    public struct Entry: Sendable, Hashable {
        public let name: String
        public let shape: [Int]
        /// First element in the flat buffer.
        public let offset: Int
        /// Whether AdamW decays it.
        public let decays: Bool
        public var count: Int { shape.reduce(1, *) }
    }

    /// Elements of a block.
    public static let block = optimizerBlock

    public let entries: [Entry]
    /// Elements of a flat buffer, padding included.
    public let count: Int
    private let positions: [String: Int]

    /// Lays out parameters in the order given. AdamW decays those of more than one dimension that are no bias and not `undecayed`.
    /// Throws when a name occurs twice.
    public init(_ parameters: [(name: String, shape: [Int])], undecayed: Set<String> = []) throws {
        var entries: [Entry] = []
        var positions: [String: Int] = [:]
        var offset = 0
        for (name, shape) in parameters {
            guard positions.updateValue(entries.count, forKey: name) == nil else {
                throw GraphError("parameter \(name): declared twice")
            }
            try TensorType(shape).check("parameter \(name)")
            let decays = shape.count > 1 && !name.hasSuffix(".bias") && !undecayed.contains(name)
            let entry = Entry(name: name, shape: shape, offset: offset, decays: decays)
            entries.append(entry)
            offset += (entry.count + Self.block - 1) / Self.block * Self.block
        }
        self.entries = entries
        self.positions = positions
        count = max(offset, Self.block)
    }

    public subscript(name: String) -> Entry? { positions[name].map { entries[$0] } }

    /// Number of parameter values, without padding.
    public var parameterCount: Int { entries.reduce(0) { $0 + $1.count } }

    /// One of the flat buffers: `parameters`, `moment1`, `moment2`, `ema`, which a checkpoint keeps, or gradients.
    public func storage(_ name: String) -> Storage {
        Storage(name, count: count, lifetime: name.hasPrefix("gradient") ? .run : .checkpointed)
    }

    /// The optimiser's flags, one a block: bit 0 weight decay, bit 1 updated at all.
    public func flags(isActive: (Entry) -> Bool) -> [Int32] {
        var flags = [Int32](repeating: 0, count: count / Self.block)
        for entry in entries where isActive(entry) {
            let value = (entry.decays ? [.active, .decay] : OptimizerFlags.active).rawValue
            for block in (entry.offset / Self.block)..<((entry.offset + entry.count + Self.block - 1) / Self.block) {
                flags[block] = value
            }
        }
        return flags
    }
}
