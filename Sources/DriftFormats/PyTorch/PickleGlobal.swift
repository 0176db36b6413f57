/// The names a pickle imports, by what is done where they are called.
///
/// Nothing of any name is ever run: calling one builds data, a description of a tensor, or an opaque value that holds nothing.
enum PickleGlobal: Sendable, Equatable {
    case storageType(Pickle.ElementType)
    /// A storage of bytes, whose tensors say their type.
    case untypedStorage
    /// PyTorch's dtype of that name.
    case elementType(String)
    case tensor
    /// A tensor with a type of its own over a storage of bytes.
    case typedTensor
    case quantizedTensor
    case parameter
    case subclassedTensor
    case dictionary
    case namespace
    case size
    /// A class that stands in for itself in arguments.
    case type(String)
    /// Plain side data that is not read, like a device or a random generator's state.
    case opaque(String)
    /// A class of which nothing is known, so nothing that its objects hold is read.
    case object(String)

    /// Nil for what only an attack imports.
    init?(module: String, name: String) {
        guard !Self.isAttack(module, name) else { return nil }
        switch (module, name) {
        case ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"): self = .tensor
        case ("torch._utils", "_rebuild_tensor_v3"): self = .typedTensor
        case ("torch._utils", "_rebuild_qtensor"): self = .quantizedTensor
        case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"): self = .parameter
        case ("torch._tensor", "_rebuild_from_type_v2"): self = .subclassedTensor
        case ("collections", "OrderedDict"), ("collections", "defaultdict"), ("easydict", "EasyDict"), ("addict.addict", "Dict"),
            ("yacs.config", "CfgNode"):
            self = .dictionary
        case ("argparse", "Namespace"), ("types", "SimpleNamespace"): self = .namespace
        case ("torch", "Size"): self = .size
        case ("torch", "Tensor"), ("torch.nn.parameter", "Parameter"): self = .type(module + "." + name)
        case ("builtins", _), ("__builtin__", _): self = Self.types.contains(name) ? .type(name) : .opaque(name)
        case ("_codecs", "encode"): self = .opaque("bytes")
        case ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"): self = .opaque("numpy.scalar")
        case ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"):
            self = .opaque("numpy.ndarray")
        case ("torch", "UntypedStorage"), ("torch.storage", "UntypedStorage"): self = .untypedStorage
        case ("torch", _):
            if let type = Self.storages[name] {
                self = .storageType(type)
            } else if name.hasSuffix("Storage") {
                self = .storageType(.foreign(name, size: nil))
            } else if Self.isElementType(name) {
                self = .elementType(name)
            } else {
                self = name == "device" ? .opaque("torch.device") : .object("torch." + name)
            }
        case ("pathlib", _), ("pathlib._local", _): self = .opaque("pathlib." + name)
        default: self = .object(module + "." + name)
        }
    }

    // MARK: Types

    private static let types: Set<String> = ["list", "dict", "int", "float", "str", "bool"]

    private static let storages: [String: Pickle.ElementType] = [
        "FloatStorage": .read(.f32), "DoubleStorage": .read(.f64), "HalfStorage": .read(.f16), "BFloat16Storage": .read(.bf16),
        "LongStorage": .read(.i64), "IntStorage": .read(.i32), "ShortStorage": .read(.i16), "CharStorage": .read(.i8),
        "ByteStorage": .read(.u8), "BoolStorage": .read(.bool), "ComplexFloatStorage": .foreign("complex64", size: 8),
        "ComplexDoubleStorage": .foreign("complex128", size: 16), "QInt8Storage": .foreign("qint8", size: 1),
        "QUInt8Storage": .foreign("quint8", size: 1), "QInt32Storage": .foreign("qint32", size: 4),
    ]

    private static let elementTypes: [String: SafeTensorsFile.ElementType] = [
        "float32": .f32, "float64": .f64, "float16": .f16, "bfloat16": .bf16, "int64": .i64, "int32": .i32, "int16": .i16,
        "int8": .i8, "uint64": .u64, "uint32": .u32, "uint16": .u16, "uint8": .u8, "bool": .bool, "float8_e4m3fn": .f8e4m3,
        "float8_e5m2": .f8e5m2,
    ]

    private static func isElementType(_ name: String) -> Bool {
        elementTypes[name] != nil || ["float", "complex", "int", "uint", "bits", "qint", "quint"].contains { prefix in
            name.hasPrefix(prefix) && name.dropFirst(prefix.count).first?.isNumber == true
        }
    }

    /// The element type of a dtype's name.
    static func elementType(_ name: String) -> Pickle.ElementType {
        elementTypes[name].map { .read($0) } ?? .foreign(name, size: nil)
    }

    // MARK: Attacks

    /// Nothing would be run, but whoever wrote such a file wants that: it is refused, for the next program may run it.
    private static func isAttack(_ module: String, _ name: String) -> Bool {
        switch (module, name) {
        case ("builtins", _), ("__builtin__", _): attackFunctions.contains(name)
        case ("torch", "load"), ("torch.serialization", "load"): true
        default:
            // From protocol 4 on a name can lead through one module to another: torch.serialization, os.system.
            attackModules.contains { module == $0 || module.hasPrefix($0 + ".") }
                || name.split(separator: ".").dropLast().contains { attackModules.contains(String($0)) }
        }
    }

    private static let attackFunctions: Set<String> = [
        "eval", "exec", "execfile", "compile", "open", "file", "__import__", "setattr", "delattr", "globals", "locals",
        "vars", "input", "breakpoint", "apply", "exit", "quit",
    ]
    private static let attackModules = [
        "os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "runpy", "ctypes", "pty", "webbrowser", "marshal",
        "pickle", "_pickle", "cPickle", "torch.hub", "requests", "urllib",
    ]
}
