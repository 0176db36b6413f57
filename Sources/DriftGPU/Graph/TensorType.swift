/// The storage type of one element. Arithmetic is float32 on every device; uint8 is images in storage, of which `pixelRows` makes
/// floats. No operation takes float16 and bfloat16 yet.
public enum ElementType: String, Sendable, Hashable, Codable {
    case float32, int32, uint32, float16, bfloat16, uint8

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float32, .int32, .uint32: 4
        case .float16, .bfloat16: 2
        case .uint8: 1
        }
    }
}

/// Shape and element type of a tensor; row-major, densely packed.
public struct TensorType: Sendable, Hashable, CustomStringConvertible {
    public var shape: [Int]
    public var element: ElementType

    public init(_ shape: [Int], _ element: ElementType = .float32) {
        self.shape = shape
        self.element = element
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }
    /// Bytes the elements take, without alignment.
    public var byteCount: Int { count * element.byteCount }
    /// Number of dimensions.
    public var rank: Int { shape.count }
    /// Most elements a tensor may have: with it the 2 m n k of a matrix product stays below 2^63.
    static let maximumCount = 1 << 40

    /// Throws a `GraphError` that begins with `subject` unless every extent is at least 1 and all elements can be counted.
    func check(_ subject: @autoclosure () -> String) throws {
        var count = 1
        for extent in shape {
            let (product, isOverflow) = count.multipliedReportingOverflow(by: extent)
            guard extent > 0, !isOverflow, product <= Self.maximumCount else {
                throw GraphError(
                    "\(subject()): \(self) is no shape; extents are 1 or more, elements at most \(Self.maximumCount)")
            }
            count = product
        }
    }

    /// Extent of the last dimension, 1 for a scalar.
    public var columns: Int { shape.last ?? 1 }
    /// Product of all dimensions but the last.
    public var rows: Int { shape.dropLast().reduce(1, *) }

    public var description: String {
        let dimensions = "[" + shape.map(String.init).joined(separator: ", ") + "]"
        return element == .float32 ? dimensions : dimensions + " " + element.rawValue
    }
}

/// A flat device allocation that outlives a run: parameters, gradients, moments, inputs, ring buffers. Two graphs that
/// name the same storage share it.
public struct Storage: Sendable, Hashable {
    public let name: String
    public let element: ElementType
    /// Capacity in elements.
    public let count: Int
    /// Whether graphs may name it with different counts, as batches of different sizes do: its buffer then has the largest.
    public let grows: Bool
    /// How long what is written there is needed; nil where nobody has said.
    public let lifetime: Lifetime?

    /// How long what a storage holds is needed.
    public enum Lifetime: Sendable, Hashable {
        /// The host writes it before a run that reads it; graphs do not change it.
        case input
        /// Graphs write it anew, in each step, before they read it.
        case run
        /// It goes on from step to step, and a checkpoint keeps it.
        case checkpointed
    }

    public init(_ name: String, count: Int, element: ElementType = .float32, grows: Bool = false, lifetime: Lifetime? = nil) {
        self.lifetime = lifetime
        self.name = name
        self.count = count
        self.element = element
        self.grows = grows
    }

    /// Whether the buffer of this storage serves as that of another of the same name.
    func holds(_ other: Storage) -> Bool {
        element == other.element && grows == other.grows && (grows ? count >= other.count : count == other.count)
    }

    /// One storage for each name, the largest of those: what is allocated for all of them.
    public static func allocated(for storages: some Sequence<Storage>) -> [Storage] {
        Dictionary(storages.map { ($0.name, $0) }) { $0.count >= $1.count ? $0 : $1 }.values.sorted { $0.name < $1.name }
    }
}

/// A value in a graph: which value it is, and the shape under which it is read. Two tensors of a graph with one `id` are the
/// same memory under two shapes.
public struct Tensor: Sendable, Hashable {
    /// The graph whose value it is.
    let graph: GraphIdentity
    public let id: Int
    public let type: TensorType

    public var shape: [Int] { type.shape }
    public var count: Int { type.count }
}

/// An error in building or scheduling a graph: one line that names the operation and the shapes.
public struct GraphError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}
