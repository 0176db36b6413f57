/// What a file says of one of its tensors.
public struct TensorHeader: Sendable, Equatable {
    public let type: SafeTensorsFile.ElementType
    public let shape: [Int]
    /// Number of elements.
    public let count: Int

    package init(type: SafeTensorsFile.ElementType, shape: [Int], count: Int) {
        (self.type, self.shape, self.count) = (type, shape, count)
    }

    /// Bytes of its values.
    public var byteCount: Int { count * type.size }
}

/// A tensor of an element type that this program does not read. The rest of its file is read all the same.
public struct ForeignTensor: Sendable, Equatable {
    /// The type as the file spells it.
    public let type: String
    public let shape: [Int]

    package init(type: String, shape: [Int]) {
        (self.type, self.shape) = (type, shape)
    }

    /// The error of reading it.
    package func error(_ name: String, at path: String) -> DataError {
        DataError("tensor '\(name)' has the element type \(type), which this program does not read", at: path,
                  fix: "save it as F32, F16 or BF16")
    }
}

/// Tensors of a file that no name leads to, because they lie inside of objects that were passed over.
public struct HiddenTensors: Sendable, Equatable {
    public let count: Int
    /// Classes of objects that were passed over, sorted.
    public let classes: [String]

    /// As the end of an error.
    package var hint: String {
        let shown = classes.prefix(3).joined(separator: ", ") + (classes.count > 3 ? " and others" : "")
        return "\(count) more lie inside of objects that were passed over (\(shown)): save model.state_dict() instead"
    }
}

/// A file of named tensors whose headers were read and checked when it was opened, and whose values are read when asked for.
public protocol TensorSource: Sendable {
    var path: String { get }
    /// What the file says of itself besides tensors: keys and values as text.
    var metadata: [String: String] { get }
    /// All tensors by name.
    var headers: [String: TensorHeader] { get }
    /// The tensors of types that are not read, by name; none of them is in `headers`.
    var foreign: [String: ForeignTensor] { get }
    /// Tensors that the file holds without a name; nil for none.
    var hidden: HiddenTensors? { get }
    /// The header of a tensor. Throws where there is none of that name.
    func header(_ name: String) throws -> TensorHeader
    /// The values of a tensor in row-major order, as they are stored. `Element` must have the size of its type.
    func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element]
    /// Compares the bytes of these tensors with their checksums, where the format has any.
    func verify(_ names: [String]) throws
}

extension TensorSource {
    /// Names of all tensors, sorted.
    public var names: [String] { headers.keys.sorted() }

    public var foreign: [String: ForeignTensor] { [:] }
    public var hidden: HiddenTensors? { nil }

    public func verify(_ names: [String]) throws {}

    /// The tensor; every floating type becomes floats, BOOL becomes bytes.
    public func tensor(_ name: String) throws -> NamedTensor {
        let header = try header(name)
        switch header.type {
        case .f32, .f16, .bf16, .f64, .f8e4m3, .f8e5m2:
            return try NamedTensor(shape: header.shape, floats: floats(name))
        case .i32:
            return try NamedTensor(shape: header.shape, ints: elements(name, of: Int32.self))
        case .i64:
            return try NamedTensor(shape: header.shape, longs: elements(name, of: Int64.self))
        case .u8, .bool:
            return try NamedTensor(shape: header.shape, bytes: elements(name, of: UInt8.self))
        case .i16, .i8, .u64, .u32, .u16:
            throw DataError("tensor '\(name)' has the element type \(header.type.rawValue)", at: path,
                            fix: "save it as F32, I32, I64 or U8")
        }
    }

    /// The values of a floating tensor as floats; with `shape`, also checks that the tensor has it.
    public func floats(_ name: String, shape: [Int]? = nil) throws -> [Float] {
        let header = try header(name)
        if let shape, shape != header.shape {
            throw DataError("tensor '\(name)' has the shape \(header.shape), the model needs \(shape)", at: path,
                            fix: "check that the file belongs to this model and its options")
        }
        switch header.type {
        case .f32: return try elements(name, of: Float.self)
        case .f64: return try elements(name, of: Double.self).map(Float.init)
        case .bf16: return try elements(name, of: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
        case .f16: return try elements(name, of: UInt16.self).map(HalfPrecision.float(half:))
        case .f8e4m3: return try elements(name, of: UInt8.self).map { Float8.e4m3[Int($0)] }
        case .f8e5m2: return try elements(name, of: UInt8.self).map { Float8.e5m2[Int($0)] }
        default:
            throw DataError("tensor '\(name)' has the element type \(header.type.rawValue), not a floating one", at: path,
                            fix: "check that the file belongs to this model")
        }
    }

    /// All tensors.
    public func tensors() throws -> [String: NamedTensor] {
        var tensors: [String: NamedTensor] = [:]
        for name in headers.keys { tensors[name] = try tensor(name) }
        return tensors
    }
}
