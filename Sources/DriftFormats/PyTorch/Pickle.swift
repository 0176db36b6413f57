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
        /// Something that is not read, by its class: it holds nothing and does nothing, whatever the pickle puts into it.
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

    /// The type of elements: one that is read, or the name of one that is not.
    enum ElementType: Sendable, Equatable {
        case read(SafeTensorsFile.ElementType)
        /// `size` in bytes; nil: unknown.
        case foreign(String, size: Int?)

        var size: Int? {
            switch self {
            case .read(let type): type.size
            case .foreign(_, let size): size
            }
        }
    }

    /// Elements of one type in a record of the file; bytes where the tensors over it have types of their own.
    struct Storage: Sendable, Equatable {
        let key: String
        let type: ElementType
        let count: Int
    }

    /// A view into a storage, offset and strides in elements of its type.
    struct Tensor: Sendable, Equatable {
        let storage: Int
        let type: ElementType
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
    /// Classes of the objects that were passed over.
    var passedOver: Set<String> = []

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
