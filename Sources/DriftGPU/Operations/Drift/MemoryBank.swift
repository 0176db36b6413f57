/// A ring buffer of entries per class on the device. Three storages hold it: NAME.entries, NAME.position, NAME.count.
public struct MemoryBank: Sendable {
    /// [classes, capacity, entry...].
    public let entries: Tensor
    /// Where the next entry of each class goes.
    public let position: Tensor
    /// Filled slots of each class.
    public let count: Tensor

    public var classes: Int { entries.shape[0] }
    public var capacity: Int { entries.shape[1] }
    /// Floats of an entry.
    public var entrySize: Int { entries.shape.dropFirst(2).reduce(1, *) }

    /// A bank of `classes` rings with `capacity` entries of the given shape. One class makes one ring for everything.
    public init(_ graph: Graph, name: String, classes: Int, capacity: Int, entry: [Int]) throws {
        guard classes > 0, capacity > 0, entry.allSatisfy({ $0 > 0 }) else {
            throw GraphError("memory bank \(name): \(classes) classes of \(capacity) entries \(TensorType(entry))")
        }
        entries = try graph.input("\(name).entries", [classes, capacity] + entry, lifetime: .checkpointed)
        position = try graph.input("\(name).position", [classes], .int32, lifetime: .checkpointed)
        count = try graph.input("\(name).count", [classes], .int32, lifetime: .checkpointed)
    }
}

/// Writes entries to the ring, later ones over earlier ones. Inputs: samples [n, entry...], labels [n], entries, position,
/// count.
struct MemoryBankAdd: Operation {
    var name: String { "memory_bank_add" }
    var mutatedInputs: [Int] { [2, 3, 4] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].shape.first == inputs[1].count, inputs[1].element == .int32,
            inputs[0].shape.dropFirst() == inputs[2].shape.dropFirst(2)
        else {
            throw GraphError("memory_bank_add: samples \(inputs[0]), labels \(inputs[1]) into a bank of \(inputs[2])")
        }
        return []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[1].count
        let (classes, capacity) = (context.inputs[2].shape[0], context.inputs[2].shape[1])
        let size = context.inputs[2].shape.dropFirst(2).reduce(1, *)
        return [
            context.rowLaunch(
                "memory_bank_add", family: "memory_bank", rows: count,
                arguments: [
                    .input(0), .input(1), .input(3), .input(2), .int(count), .int(classes), .int(capacity), .int(size),
                ], traffic: Traffic(bytes: 8 * count * size)),
            context.itemLaunch(
                "memory_bank_advance", family: "memory_bank", items: classes, size: count,
                arguments: [.input(1), .input(3), .input(4), .int(count), .int(classes), .int(capacity)]),
        ]
    }
}

/// Entries drawn at random. Inputs: labels [n], entries, count, clock. Output [n, draws, entry...].
struct MemoryBankDraw: Operation {
    let draws: Int
    let stream: Int

    var name: String { "memory_bank_draw" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try checkClock(inputs[3], name)
        guard draws > 0, inputs[0].element == .int32 else {
            throw GraphError("memory_bank_draw: \(draws) draws for labels \(inputs[0])")
        }
        return [TensorType([inputs[0].count, draws] + inputs[1].shape.dropFirst(2))]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [nil, nil, nil, nil]
    }
    func scratch(_ context: LaunchContext) -> [TensorType] { [TensorType([context.inputs[0].count, draws], .int32)] }
    func commands(_ context: LaunchContext) -> [Command] {
        let rows = context.inputs[0].count
        let (classes, capacity) = (context.inputs[1].shape[0], context.inputs[1].shape[1])
        let size = context.inputs[1].shape.dropFirst(2).reduce(1, *)
        return [
            context.itemLaunch(
                "memory_bank_draw", family: "memory_bank", items: rows, size: draws * draws / 2,
                arguments: [
                    .input(3), .input(0), .input(2), .scratch(0), .int(stream), .int(rows), .int(draws), .int(classes),
                    .int(capacity),
                ]),
            context.rowLaunch(
                "memory_bank_gather", family: "memory_bank", rows: rows * draws,
                arguments: [
                    .input(1), .input(0), .scratch(0), .output(0), .int(rows), .int(draws), .int(capacity), .int(size),
                ], traffic: Traffic(bytes: 8 * rows * draws * size)),
        ]
    }
}

extension Graph {
    /// Adds `samples` [n, entry...] to the rings of their `labels` [n], in order; labels out of range are skipped.
    public func add(_ samples: Tensor, labels: Tensor, to bank: MemoryBank) throws {
        _ = try apply(MemoryBankAdd(), samples, labels, bank.entries, bank.position, bank.count)
    }

    /// `draws` random entries of each label's ring, [labels, draws, entry...]: without replacement while the ring holds
    /// enough, with replacement otherwise, zeros while it is empty.
    public func draw(_ draws: Int, labels: Tensor, from bank: MemoryBank, clock: Tensor) throws -> Tensor {
        try apply(
            MemoryBankDraw(draws: draws, stream: nextStream()), labels, bank.entries, bank.count, clock)[0]
    }
}
