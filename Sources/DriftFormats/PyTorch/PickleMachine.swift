/// Reads one pickle, protocols 2 to 5, as far as files of tensors need it.
///
/// Nothing is executed. What the names that are imported stand for is `PickleGlobal`'s to say: calling one builds data or a
/// description of a tensor; objects of other classes become values that hold nothing, and what only an attack imports is an
/// error that names it.
struct PickleMachine {
    private var cursor: ByteCursor
    private(set) var pickle = Pickle()
    private var stack: [Pickle.Value] = []
    private var marks: [Int] = []
    private var memo: [Int: Pickle.Value] = [:]
    private var storageNumbers: [String: Int] = [:]
    private var budget = Self.valueLimit
    /// Where the opcode in hand starts.
    private var position = 0

    /// Values a pickle may make: some hundred times what checkpoints of large models hold, a few hundred MB at most.
    private static let valueLimit = 8_000_000
    private static let rankLimit = 64

    init(_ bytes: [UInt8], at offset: Int = 0) {
        cursor = ByteCursor(bytes, at: offset)
    }

    /// The byte after what was read.
    var offset: Int { cursor.offset }

    /// Runs to the pickle's end.
    mutating func run() throws(PickleError) -> Pickle {
        while true {
            position = cursor.offset
            guard let byte = cursor.integer(UInt8.self) else { throw wrong("it ends without STOP") }
            guard let opcode = PickleOpcode(rawValue: byte) else {
                throw wrong("unknown opcode 0x\(String(byte, radix: 16))")
            }
            if opcode == .stop {
                pickle.root = try pop()
                return pickle
            }
            try step(opcode)
        }
    }

    func wrong(_ what: String) -> PickleError { PickleError(what: what, offset: position) }

    private mutating func step(_ opcode: PickleOpcode) throws(PickleError) {
        switch opcode {
        case .proto:
            let version = try read(UInt8.self)
            guard version <= 5 else { throw wrong("pickle protocol \(version)") }
        case .frame: _ = try read(UInt64.self)
        case .mark:
            try charge(1)
            marks.append(stack.count)
        case .pop: _ = try pop()
        case .popMark: _ = try popMark()
        case .dup:
            let value = try pop()
            try push(value)
            try push(value)
        case .none: try push(.none)
        case .newTrue: try push(.bool(true))
        case .newFalse: try push(.bool(false))
        case .binInt: try push(.integer(Int(read(Int32.self))))
        case .binInt1: try push(.integer(Int(read(UInt8.self))))
        case .binInt2: try push(.integer(Int(read(UInt16.self))))
        case .long1: try pushLong(Int(read(UInt8.self)))
        case .long4: try pushLong(Int(read(Int32.self)))
        case .binFloat: try push(.real(Double(bitPattern: read(UInt64.self).byteSwapped)))
        case .shortBinUnicode, .shortBinString: try push(.string(text(Int(read(UInt8.self)))))
        case .binUnicode, .binString: try push(.string(text(Int(read(UInt32.self)))))
        case .binUnicode8: try push(.string(text(Int(clamping: read(UInt64.self)))))
        case .shortBinBytes: try pushBytes(Int(read(UInt8.self)))
        case .binBytes: try pushBytes(Int(read(UInt32.self)))
        case .binBytes8, .byteArray8: try pushBytes(Int(clamping: read(UInt64.self)))
        case .emptyTuple: try pushContainer(.tuple, [])
        case .tuple1: try pushTuple(1)
        case .tuple2: try pushTuple(2)
        case .tuple3: try pushTuple(3)
        case .tuple: try pushContainer(.tuple, popMark())
        case .emptyList, .emptySet: try pushContainer(.list, [])
        case .list, .frozenSet: try pushContainer(.list, popMark())
        case .append: try append([pop()], to: .list)
        case .appends, .addItems: try append(popMark(), to: .list)
        case .emptyDict: try pushContainer(.dictionary, [])
        case .dict: try pushContainer(.dictionary, pairs(popMark()))
        case .setItem:
            let value = try pop()
            try append([pop(), value], to: .dictionary)
        case .setItems: try append(pairs(popMark()), to: .dictionary)
        case .binPut: try store(Int(read(UInt8.self)))
        case .longBinPut: try store(Int(read(UInt32.self)))
        case .memoize: try store(memo.count)
        case .binGet: try fetch(Int(read(UInt8.self)))
        case .longBinGet: try fetch(Int(read(UInt32.self)))
        case .global:
            guard let module = cursor.line(), let name = cursor.line() else { throw wrong("it ends inside a name") }
            try pushGlobal(module: utf8(module), name: utf8(name))
        case .stackGlobal:
            guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
                throw wrong("STACK_GLOBAL of something else than names")
            }
            try pushGlobal(module: module, name: name)
        case .binPersid: try pushStorage(pop())
        case .newObjEx:
            // Arguments by keyword; only classes of which nothing is read have any.
            _ = try pop()
            try pushCall()
        case .reduce, .newObj: try pushCall()
        case .build:
            let state = try pop()
            try build(state)
        case .float, .int, .long, .persid, .string, .unicode, .get, .inst, .obj, .put, .ext1, .ext2, .ext4,
            .nextBuffer, .readOnlyBuffer, .stop:
            throw wrong("opcode \(opcode.name), which files of tensors do not use")
        }
    }

    // MARK: Stack

    private mutating func charge(_ count: Int) throws(PickleError) {
        guard count <= budget else { throw wrong("more than \(Self.valueLimit) values") }
        budget -= count
    }

    private mutating func push(_ value: Pickle.Value) throws(PickleError) {
        try charge(1)
        stack.append(value)
    }

    private mutating func pop() throws(PickleError) -> Pickle.Value {
        guard stack.count > marks.last ?? 0, let value = stack.popLast() else { throw wrong("nothing left on its stack") }
        return value
    }

    private mutating func popMark() throws(PickleError) -> [Pickle.Value] {
        guard let mark = marks.popLast() else { throw wrong("an end without a mark") }
        let items = Array(stack[mark...])
        stack.removeSubrange(mark...)
        return items
    }

    private mutating func pushTuple(_ count: Int) throws(PickleError) {
        var items: [Pickle.Value] = []
        for _ in 0..<count { items.append(try pop()) }
        try pushContainer(.tuple, items.reversed())
    }

    private mutating func pushContainer(_ kind: Pickle.Container.Kind, _ items: [Pickle.Value]) throws(PickleError) {
        pickle.containers.append(Pickle.Container(kind: kind, items: items))
        try push(.container(pickle.containers.count - 1))
    }

    private mutating func append(_ items: [Pickle.Value], to kind: Pickle.Container.Kind) throws(PickleError) {
        if case .opaque? = stack.last, stack.count > marks.last ?? 0 { return }
        guard case .container(let index) = stack.last, stack.count > marks.last ?? 0, pickle.containers[index].kind == kind
        else { throw wrong("items for something that takes none") }
        pickle.containers[index].items += items
    }

    private func pairs(_ items: [Pickle.Value]) throws(PickleError) -> [Pickle.Value] {
        guard items.count % 2 == 0 else { throw wrong("a key without a value") }
        return items
    }

    private mutating func store(_ key: Int) throws(PickleError) {
        guard let value = stack.last else { throw wrong("nothing to remember") }
        try charge(1)
        memo[key] = value
    }

    private mutating func fetch(_ key: Int) throws(PickleError) {
        guard let value = memo[key] else { throw wrong("nothing was remembered as \(key)") }
        try push(value)
    }

    // MARK: Scalars

    private mutating func read<Number: FixedWidthInteger>(_ type: Number.Type) throws(PickleError) -> Number {
        guard let value = cursor.integer(type) else { throw wrong("it ends inside a number") }
        return value
    }

    private mutating func bytes(_ count: Int) throws(PickleError) -> ArraySlice<UInt8> {
        guard let part = cursor.take(count) else { throw wrong("\(count) bytes where \(cursor.remaining) are left") }
        return part
    }

    private mutating func text(_ count: Int) throws(PickleError) -> String { try utf8(bytes(count)) }

    private func utf8(_ bytes: ArraySlice<UInt8>) throws(PickleError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw wrong("text that is not UTF-8") }
        return text
    }

    private mutating func pushBytes(_ count: Int) throws(PickleError) {
        _ = try bytes(count)
        try push(.opaque("bytes"))
    }

    /// A little-endian number in two's complement, of any size; beyond 64 bits it can only be a seed.
    private mutating func pushLong(_ count: Int) throws(PickleError) {
        let part = try bytes(count)
        guard part.count <= 8 else { return try push(.opaque("int")) }
        var number = part.last.map { $0 >= 0x80 ? -1 : 0 } ?? 0
        for byte in part.reversed() { number = number << 8 | Int(byte) }
        try push(.integer(number))
    }
}

// MARK: Objects

extension PickleMachine {
    private mutating func pushGlobal(module: String, name: String) throws(PickleError) {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw wrong("it wants \(module.shortened(to: 80)).\(name.shortened(to: 80)), which is no part of a tensor: refused, nothing of it was run")
        }
        try push(.global(global))
    }

    private func tupleItems(_ value: Pickle.Value) throws(PickleError) -> [Pickle.Value] {
        guard case .container(let index) = value, pickle.containers[index].kind == .tuple else {
            throw wrong("arguments that are no tuple")
        }
        return pickle.containers[index].items
    }

    private mutating func pushCall() throws(PickleError) {
        let arguments = try tupleItems(pop())
        switch try pop() {
        case .global(let global): try push(call(global, arguments))
        case .opaque(let name): try push(.opaque(name))
        default: throw wrong("a call of something that is no name")
        }
    }

    /// The value of a call, `global(*arguments)`.
    private mutating func call(_ global: PickleGlobal, _ arguments: [Pickle.Value]) throws(PickleError) -> Pickle.Value {
        switch global {
        case .tensor: return try tensor(arguments)
        case .typedTensor:
            // (storage, offset, size, strides, requires_grad, hooks, dtype)
            guard arguments.count >= 7, case .global(.elementType(let name)) = arguments[6] else {
                throw wrong("a tensor without a type")
            }
            return try tensor(arguments, as: PickleGlobal.elementType(name))
        case .quantizedTensor: return try tensor(arguments, as: .foreign("quantized", size: nil))
        case .parameter:
            switch arguments.first {
            case .tensor?, .opaque?: return arguments[0]
            default: throw wrong("a parameter without a tensor")
            }
        case .subclassedTensor:
            // (function, type, its arguments, attributes)
            guard arguments.count >= 3, case .global(let inner) = arguments[0] else {
                throw wrong("a subclass of tensor without a function")
            }
            switch inner {
            case .tensor, .typedTensor, .parameter: return try call(inner, tupleItems(arguments[2]))
            default: return try call(.object("a subclass of torch.Tensor"), [])
            }
        case .dictionary, .namespace:
            // A default factory or a list of pairs may be among the arguments; the pairs of today's files come as items.
            let isPlain = arguments.allSatisfy { argument in
                guard case .container(let index) = argument else { return true }
                return pickle.containers[index].items.isEmpty
            }
            guard isPlain else { throw wrong("a dictionary made from a list of pairs") }
            pickle.containers.append(Pickle.Container(kind: global == .namespace ? .namespace : .dictionary, items: []))
            return .container(pickle.containers.count - 1)
        case .size:
            guard arguments.count == 1, case .container = arguments[0] else { throw wrong("a size that is no tuple") }
            return arguments[0]
        case .opaque(let name), .type(let name): return .opaque(name)
        case .object(let name):
            pickle.passedOver.insert(name)
            return .opaque(name)
        case .storageType, .untypedStorage, .elementType: throw wrong("a call of a type")
        }
    }

    /// The state of an object: a namespace's attributes. Those of dictionaries (`_metadata` of a state_dict) and tensors
    /// say nothing about values.
    private mutating func build(_ state: Pickle.Value) throws(PickleError) {
        switch stack.last {
        case .container(let index)? where pickle.containers[index].kind == .namespace:
            guard case .container(let source) = state, pickle.containers[source].kind == .dictionary else {
                throw wrong("a namespace of something that is no dictionary")
            }
            try charge(pickle.containers[source].items.count)
            pickle.containers[index].items += pickle.containers[source].items
        case .container(let index)? where pickle.containers[index].kind == .dictionary: break
        case .tensor?, .opaque?: break
        default: throw wrong("a state for something that has none")
        }
    }

    /// ('storage', torch.FloatStorage, key, device, elements)
    private mutating func pushStorage(_ identifier: Pickle.Value) throws(PickleError) {
        let parts = try tupleItems(identifier)
        // A class of modules with its source, as the form before the zip has it: the class alone counts.
        if parts.count == 4, parts[0] == .string("module") { return try push(parts[1]) }
        guard parts.count >= 5, parts[0] == .string("storage"), let type = storageType(parts[1]),
              case .string(let key) = parts[2], case .integer(let count) = parts[4], count >= 0
        else { throw wrong("a persistent object that is no storage") }
        guard parts.count == 5 || parts[5] == .none else { throw wrong("storage '\(key)' is a view of another one") }
        let storage = Pickle.Storage(key: key, type: type, count: count)
        if let number = storageNumbers[key] {
            guard pickle.storages[number] == storage else { throw wrong("storage '\(key)' with two types or sizes") }
            return try push(.storage(number))
        }
        storageNumbers[key] = pickle.storages.count
        pickle.storages.append(storage)
        try push(.storage(pickle.storages.count - 1))
    }

    private func storageType(_ value: Pickle.Value) -> Pickle.ElementType? {
        switch value {
        case .global(.storageType(let type)): type
        case .global(.untypedStorage): .read(.u8)
        default: nil
        }
    }

    /// (storage, offset, size, strides, ...); `type` nil: that of the storage.
    private mutating func tensor(
        _ arguments: [Pickle.Value], as own: Pickle.ElementType? = nil
    ) throws(PickleError) -> Pickle.Value {
        guard arguments.count >= 4, case .storage(let number) = arguments[0], case .integer(let offset) = arguments[1],
              let shape = try integers(arguments[2]), let strides = try integers(arguments[3]), shape.count == strides.count
        else { throw wrong("a tensor that is not storage, offset, size and strides") }
        guard shape.count <= Self.rankLimit else { throw wrong("a tensor of \(shape.count) dimensions") }
        guard let count = NamedTensor.elementCount(of: shape), offset >= 0, strides.allSatisfy({ $0 >= 0 }) else {
            throw wrong("a tensor of the impossible shape \(shape), strides \(strides)")
        }
        let storage = pickle.storages[number]
        let type = own ?? storage.type
        // How far a tensor of a type of unknown size reaches is nobody's concern: it is not read.
        if count > 0, case .read(let element) = type {
            // A storage of unknown size is compared with no record of the file: nothing can be read through it.
            let bytes = (storage.type.size ?? 0).multipliedReportingOverflow(by: storage.count)
            let available = own == nil ? storage.count : bytes.overflow ? 0 : bytes.partialValue / element.size
            var last = offset
            for (size, stride) in zip(shape, strides) {
                let (span, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
                let (sum, beyond) = last.addingReportingOverflow(span)
                guard !overflow, !beyond else { throw wrong("a tensor whose strides overflow") }
                last = sum
            }
            guard last < available else {
                throw wrong("a tensor that reaches to element \(last) of a storage of \(available)")
            }
            // An expanded tensor repeats elements: its shape says nothing about what the file holds.
            guard count <= available else {
                throw wrong("an expanded tensor: \(count) elements of a storage of \(available); save it with .contiguous()")
            }
        }
        try charge(2 * shape.count)
        pickle.tensors.append(
            Pickle.Tensor(storage: number, type: type, offset: offset, shape: shape, strides: strides, count: count))
        return .tensor(pickle.tensors.count - 1)
    }

    /// The items of a tuple of integers; nil where one is none.
    private func integers(_ value: Pickle.Value) throws(PickleError) -> [Int]? {
        let items = try tupleItems(value)
        guard items.count <= 2 * Self.rankLimit else { throw wrong("a tensor of \(items.count) dimensions") }
        let numbers = items.compactMap { item in
            if case .integer(let number) = item { number } else { nil }
        }
        return numbers.count == items.count ? numbers : nil
    }
}
