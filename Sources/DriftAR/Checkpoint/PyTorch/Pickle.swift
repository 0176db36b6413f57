/// What a pickle of tensors holds: plain data, tensors and storages by number. No object of Python is ever made.
///
/// Containers lie in one array and refer to each other by number: a pickle can nest them a million deep or in a circle, and
/// neither building nor freeing this recurses.
struct Pickle: Sendable {
    enum Value: Sendable, Equatable {
        case none
        case bool(Bool)
        case integer(Int)
        case real(Double)
        case string(String)
        /// Something harmless that nobody needs, by its class.
        case opaque(String)
        case global(PickleGlobal)
        case container(Int)
        case storage(Int)
        case tensor(Int)
    }

    struct Container: Sendable {
        enum Kind: Sendable { case list, tuple, dictionary, namespace }
        let kind: Kind
        /// Of dictionaries and namespaces keys and values in turn; the last of equal keys counts.
        var items: [Value]
    }

    /// Elements of one type in a record of the file.
    struct Storage: Sendable, Equatable {
        let key: String
        let type: SafeTensorsFile.ElementType
        let count: Int
    }

    /// A view into a storage, offset and strides in elements.
    struct Tensor: Sendable, Equatable {
        let storage: Int
        let offset: Int
        let shape: [Int]
        let strides: [Int]
        /// Number of elements.
        let count: Int
    }

    var root = Value.none
    var containers: [Container] = []
    var storages: [Storage] = []
    var tensors: [Tensor] = []

    /// Keys and values of a dictionary or namespace, in the order of the file; nil for anything else. Keys that are
    /// neither text nor numbers are left out.
    func members(of value: Value) -> [(key: String, value: Value)]? {
        guard case .container(let index) = value else { return nil }
        let container = containers[index]
        guard container.kind == .dictionary || container.kind == .namespace else { return nil }
        return stride(from: 0, to: container.items.count - 1, by: 2).compactMap { i in
            Self.text(ofKey: container.items[i]).map { ($0, container.items[i + 1]) }
        }
    }

    /// Items of a list or tuple; nil for anything else.
    func items(of value: Value) -> [Value]? {
        guard case .container(let index) = value else { return nil }
        let container = containers[index]
        return container.kind == .list || container.kind == .tuple ? container.items : nil
    }

    private static func text(ofKey value: Value) -> String? {
        switch value {
        case .string(let text): text
        case .integer(let number): String(number)
        default: nil
        }
    }

    /// The value as text where it is a scalar.
    func text(of value: Value) -> String? {
        switch value {
        case .none: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .real(let value): "\(value)"
        case .string(let value): value
        case .opaque(let name): "<\(name)>"
        case .global, .container, .storage, .tensor: nil
        }
    }
}

/// What cannot be read in a pickle, and at which of its bytes.
struct PickleError: Error, Equatable {
    let what: String
    let offset: Int
}

/// The names a pickle of tensors may import, by what is done where they are called. A name that is not here is refused.
enum PickleGlobal: Sendable, Equatable {
    case storageType(SafeTensorsFile.ElementType)
    case tensor
    case parameter
    case subclassedTensor
    case dictionary
    case namespace
    case size
    /// A class that stands in for itself in arguments.
    case type
    case opaque(String)

    init?(module: String, name: String) {
        switch (module, name) {
        case ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"): self = .tensor
        case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"): self = .parameter
        case ("torch._tensor", "_rebuild_from_type_v2"): self = .subclassedTensor
        case ("collections", "OrderedDict"), ("collections", "defaultdict"): self = .dictionary
        case ("argparse", "Namespace"): self = .namespace
        case ("torch", "Size"): self = .size
        case ("torch", "Tensor"), ("torch.nn.parameter", "Parameter"): self = .type
        case ("builtins", _), ("__builtin__", _):
            switch name {
            case "list", "dict", "int", "float", "str", "bool": self = .type
            case "set", "frozenset", "complex": self = .opaque(name)
            default: return nil
            }
        case ("_codecs", "encode"): self = .opaque("bytes")
        case ("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"):
            self = .opaque("numpy." + name)
        case ("torch", _):
            if let type = Self.storages[name] {
                self = .storageType(type)
            } else if name == "device" || Self.elementTypes.contains(name) {
                self = .opaque("torch." + name)
            } else {
                return nil
            }
        case ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib", "PurePosixPath"),
            ("pathlib._local", "PosixPath"), ("pathlib._local", "WindowsPath"):
            self = .opaque("pathlib." + name)
        default: return nil
        }
    }

    private static let storages: [String: SafeTensorsFile.ElementType] = [
        "FloatStorage": .f32, "DoubleStorage": .f64, "HalfStorage": .f16, "BFloat16Storage": .bf16, "LongStorage": .i64,
        "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
    ]
    private static let elementTypes: Set<String> = [
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    ]
}
