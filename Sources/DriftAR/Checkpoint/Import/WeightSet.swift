import DriftFormats

/// The tensors of one model in a file: those below a key, under the names the model itself gives them.
public struct WeightSet: Sendable {
    public let source: any TensorSource
    /// The key, or "" for what lies at the top.
    public let key: String
    /// What stands in front of the names in the file, with its dot; "" for nothing.
    public private(set) var prefix = ""
    public private(set) var headers: [String: TensorHeader]
    /// The tensors of types that are not read.
    public private(set) var foreign: [String: ForeignTensor]
    /// How many tensors at the key do not have the prefix.
    public private(set) var leftOut = 0
    /// The name in the file of each tensor.
    private var stored: [String: String]

    /// The tensors at `key`. Throws where there are none, or where two differ in the prefix of a wrapper alone.
    public init(_ source: any TensorSource, key: String) throws {
        let prefix = key.isEmpty ? "" : key + "/"
        var stored: [String: String] = [:]
        func plain(_ name: String) throws -> String? {
            guard name.hasPrefix(prefix), !name.dropFirst(prefix.count).contains("/") else { return nil }
            let plain = Self.withoutWrappers(name.dropFirst(prefix.count))
            if let other = stored.updateValue(name, forKey: plain) {
                throw DataError("'\([other, name].sorted().joined(separator: "' and '"))' are both '\(plain)'", at: source.path,
                                fix: "save the weights of one model")
            }
            return plain
        }
        var (headers, foreign): ([String: TensorHeader], [String: ForeignTensor]) = ([:], [:])
        for (name, header) in source.headers {
            if let name = try plain(name) { headers[name] = header }
        }
        for (name, tensor) in source.foreign {
            if let name = try plain(name) { foreign[name] = tensor }
        }
        guard !stored.isEmpty else {
            throw DataError(key.isEmpty ? "no tensors at the top" : "no tensors at the key '\(key)'", at: source.path,
                            fix: Self.choices(of: source))
        }
        self.source = source
        self.key = key
        self.stored = stored
        self.headers = headers
        self.foreign = foreign
    }

    /// The tensors whose names begin with the prefix, without it; nil where there are none. The prefix ends in a dot.
    func below(_ prefix: String) -> WeightSet? {
        guard !prefix.isEmpty else { return self }
        var result = renamed { name, shape in name.hasPrefix(prefix) ? (String(name.dropFirst(prefix.count)), shape) : nil }
        guard !result.stored.isEmpty else { return nil }
        result.prefix = self.prefix + prefix
        result.leftOut = leftOut + stored.count - result.stored.count
        return result
    }

    /// The same tensors under other names and in other shapes of as many elements; nil leaves one out.
    func renamed(_ rename: (_ name: String, _ shape: [Int]) -> (name: String, shape: [Int])?) -> WeightSet {
        var result = self
        (result.stored, result.headers, result.foreign) = ([:], [:], [:])
        for (name, inFile) in stored {
            let shape = headers[name]?.shape ?? foreign[name]?.shape ?? []
            guard let new = rename(name, shape) else { continue }
            result.stored[new.name] = inFile
            if let header = headers[name] {
                result.headers[new.name] = TensorHeader(type: header.type, shape: new.shape, count: header.count)
            } else if let tensor = foreign[name] {
                result.foreign[new.name] = ForeignTensor(type: tensor.type, shape: new.shape)
            }
        }
        return result
    }

    /// The header of a tensor of this set. Throws where there is none of that name.
    func header(_ name: String) throws -> TensorHeader {
        guard let header = headers[name] else { return try source.header(storedName(name)) }
        return header
    }

    /// The values of a tensor of this set.
    func floats(_ name: String) throws -> [Float] { try source.floats(storedName(name)) }

    /// Keys with tensors right below them, sorted; "" for the top.
    public static func keys(of source: any TensorSource) -> [String] {
        Set((Array(source.headers.keys) + source.foreign.keys).map { name in
            name.lastIndex(of: "/").map { String(name[..<$0]) } ?? ""
        }).sorted()
    }

    /// What `--key` can be, as the end of an error.
    static func choices(of source: any TensorSource) -> String {
        let keys = keys(of: source)
        let shown = keys.prefix(8).map { $0.isEmpty ? "the top" : $0 }.joined(separator: ", ")
        if keys.isEmpty, let hidden = source.hidden { return hidden.hint }
        return keys.isEmpty ? "it holds none at all" : "there are tensors at \(shown)\(keys.count > 8 ? " and more" : "")"
    }

    /// The name in the file of a tensor of this set.
    func storedName(_ name: String) -> String { stored[name] ?? name }

    /// Without what DistributedDataParallel (`module.`) and torch.compile (`_orig_mod.`) put into names.
    static func withoutWrappers(_ name: Substring) -> String {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false).filter { $0 != "_orig_mod" }
        while parts.count > 1, parts.first == "module" { parts.removeFirst() }
        return parts.joined(separator: ".")
    }
}
