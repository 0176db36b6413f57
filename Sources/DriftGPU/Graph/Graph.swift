/// A static computation: inputs, stored tensors, operations with fixed shapes. Building it touches no device.
///
/// Operations are added in the order of their methods' calls, which is an order of execution too. Gradients are nodes
/// of the same graph (`gradients(of:withRespectTo:)`).
public final class Graph {
    /// Where a stored tensor lies.
    public struct Place: Sendable, Hashable {
        public let storage: Storage
        /// In elements of the storage, which has as many bytes an element as the tensor.
        public let offset: Int
        /// Elements of the tensor.
        let count: Int

        /// Throws where `x` does not fit, or where it would not begin at a multiple of 16 bytes: kernels read four floats
        /// at a time.
        init(_ x: Tensor, in storage: Storage, at offset: Int) throws {
            guard offset >= 0, offset <= storage.count - x.count else {
                throw GraphError("storage \(storage.name): \(x.type) at \(offset) does not fit its \(storage.count) elements")
            }
            guard offset * storage.element.byteCount % 16 == 0 else {
                throw GraphError("storage \(storage.name): \(x.type) at \(offset) does not begin at a multiple of 16 bytes")
            }
            self.storage = storage
            self.offset = offset
            count = x.count
        }

        /// Whether the two have elements in common.
        func meets(_ other: Place) -> Bool {
            storage.name == other.storage.name && offset < other.offset + other.count && other.offset < offset + count
        }
    }

    let identity = GraphIdentity()
    public private(set) var nodes: [Node] = []
    /// Stored tensors: id -> place.
    public private(set) var places: [Int: Place] = [:]
    /// First contents of constants, by storage name.
    public private(set) var constants: [String: [UInt8]] = [:]
    /// Node that makes a value, by id.
    private(set) var producers: [Int: (node: Int, output: Int)] = [:]
    /// Tensors that must be readable after a run.
    public private(set) var outputs: [Tensor] = []
    /// Stretches of nodes that a backward pass may compute again, in order, without overlap.
    private(set) var segments: [Range<Int>] = []
    private var isInSegment = false
    private var part: String?
    private var nextID = 0
    private var streams = 0
    /// Elements of each block of inputs.
    private var blocks: [String: Int] = [:]

    public init() {}

    private func makeTensor(_ type: TensorType) -> Tensor {
        defer { nextID += 1 }
        return Tensor(graph: identity, id: nextID, type: type)
    }

    /// A tensor that lies in `storage` from element `offset` on, a multiple of 16 bytes.
    public func stored(_ shape: [Int], in storage: Storage, at offset: Int = 0) throws -> Tensor {
        let type = TensorType(shape, storage.element)
        try type.check("storage \(storage.name)")
        let tensor = makeTensor(type)
        places[tensor.id] = try Place(tensor, in: storage, at: offset)
        return tensor
    }

    /// A tensor written by the host between runs, with a storage of its own called `name`. `grows`: other graphs may have
    /// the same input in other shapes.
    public func input(
        _ name: String, _ shape: [Int], _ element: ElementType = .float32, grows: Bool = false,
        lifetime: Storage.Lifetime = .input
    ) throws -> Tensor {
        let type = TensorType(shape, element)
        try type.check("input \(name)")
        return try stored(shape, in: Storage(name, count: type.count, element: element, grows: grows, lifetime: lifetime))
    }

    /// A tensor of 4-byte elements written by the host between runs, beside the others of the same block; see `InputBlock`.
    public func input(_ shape: [Int], _ element: ElementType = .float32, block: String) throws -> Tensor {
        let type = TensorType(shape, element)
        try type.check("input block \(block)")
        guard element.byteCount == 4 else { throw GraphError("input block \(block): \(type) has no elements of 4 bytes") }
        let offset = blocks[block] ?? 0
        let end = (offset + type.count + 3) & ~3
        let tensor = makeTensor(type)
        places[tensor.id] = try Place(tensor, in: Storage(block, count: end, element: .uint32, grows: true, lifetime: .input), at: offset)
        blocks[block] = end
        return tensor
    }

    /// A tensor with fixed contents.
    public func constant(_ name: String, _ values: [Float], _ shape: [Int]) throws -> Tensor {
        try constant(name, bytes: values.withUnsafeBytes(Array.init), TensorType(shape))
    }

    /// A tensor of integers with fixed contents.
    public func constant(_ name: String, _ values: [Int32], _ shape: [Int]) throws -> Tensor {
        try constant(name, bytes: values.withUnsafeBytes(Array.init), TensorType(shape, .int32))
    }

    private func constant(_ name: String, bytes: [UInt8], _ type: TensorType) throws -> Tensor {
        try type.check("constant \(name)")
        guard bytes.count == type.byteCount else {
            throw GraphError("constant \(name): \(bytes.count) bytes for \(type)")
        }
        if let known = constants[name], known != bytes {
            throw GraphError("constant \(name): defined twice with different contents")
        }
        constants[name] = bytes
        return try input(name, type.shape, type.element)
    }

    /// Adds a node and returns its outputs. Throws where the shapes do not fit, or an input belongs to another graph.
    public func apply(_ operation: any Operation, _ inputs: [Tensor]) throws -> [Tensor] {
        try identity.check(inputs, operation.name)
        let types = try operation.outputTypes(inputs.map(\.type))
        for type in types { try type.check(operation.name) }
        let outputs = types.map(makeTensor)
        for (index, output) in outputs.enumerated() { producers[output.id] = (nodes.count, index) }
        if operation.isView { aliased.formUnion(inputs.map(\.id)) }
        nodes.append(Node(operation: operation, inputs: inputs, outputs: outputs, part: part))
        return outputs
    }

    /// `apply` for a list written out.
    public func apply(_ operation: any Operation, _ inputs: Tensor...) throws -> [Tensor] {
        try apply(operation, inputs)
    }

    /// The same values under another shape; nothing is computed.
    public func reshape(_ x: Tensor, _ shape: [Int]) throws -> Tensor {
        let type = TensorType(shape, x.type.element)
        try identity.check([x], "reshape")
        try type.check("reshape of \(x.type)")
        guard type.count == x.count else { throw GraphError("reshape: \(x.type) to \(type)") }
        return Tensor(graph: identity, id: x.id, type: type)
    }

    /// Keeps `x` readable after a run. A schedule refuses an output of another graph.
    public func output(_ x: Tensor) { outputs.append(x) }

    /// Has `x` written straight to its place in `storage` (a gradient into the flat gradient buffer); copies it there where
    /// `x` is an input, has a place already, or shares its memory with a view.
    public func place(_ x: Tensor, in storage: Storage, at offset: Int) throws {
        try identity.check([x], "storage \(storage.name)")
        var tensor = x
        let isFreeNodeOutput = producers[x.id].map { !nodes[$0.node].operation.isView } ?? false
        if !isFreeNodeOutput || places[x.id] != nil || aliased.contains(x.id) { tensor = try apply(Copy(), x)[0] }
        places[tensor.id] = try Place(x, in: storage, at: offset)
    }

    /// Values whose memory a view shares.
    private var aliased: Set<Int> = []

    /// Marks the nodes that `body` adds as a segment: `gradients(of:withRespectTo:recomputing:)` can compute them again from
    /// what enters the segment, instead of keeping every value between them until the backward pass. A segment within a
    /// segment is part of the outer one.
    public func segment<Result>(_ body: () throws -> Result) rethrows -> Result {
        if isInSegment { return try body() }
        isInSegment = true
        defer { isInSegment = false }
        let first = nodes.count
        let result = try body()
        segments.append(first..<nodes.count)
        return result
    }

    /// Names what the nodes that `body` adds belong to; a `Profiler` tells times by it. The innermost name counts.
    public func part<Result>(_ name: String?, _ body: () throws -> Result) rethrows -> Result {
        let outer = part
        part = name
        defer { part = outer }
        return try body()
    }

    /// A number no other random draw of this graph has: Philox streams are numbered in the order of the calls, so the
    /// same model draws the same numbers in every run.
    public func nextStream() -> Int {
        defer { streams += 1 }
        return streams
    }
}

/// y = x in memory of its own.
struct Copy: Operation {
    var name: String { "copy" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { inputs }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { gradients }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[0].count
        return [
            context.elementLaunch(
                "copy_forward", family: "copy", count: count, arguments: [.input(0), .output(0), .int(count)],
                traffic: Traffic(bytes: 8 * count))
        ]
    }
}

extension Graph {
    /// `x` in memory of its own.
    public func copy(_ x: Tensor) throws -> Tensor { try apply(Copy(), x)[0] }
}

/// The same memory, through which no gradient flows.
struct Detach: Operation {
    var name: String { "detach" }
    var isView: Bool { true }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { inputs }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { [nil] }
    func commands(_ context: LaunchContext) -> [Command] { [] }
}

extension Graph {
    /// `x` as a constant: its value, no gradient.
    public func detach(_ x: Tensor) throws -> Tensor { try apply(Detach(), x)[0] }
}
