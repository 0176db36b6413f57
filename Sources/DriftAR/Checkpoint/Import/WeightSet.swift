/// Opening a file of weights of either format.
public enum WeightFile {
    /// A file of `torch.save` or safetensors, told apart by their first bytes.
    public static func open(_ path: String) throws -> any TensorSource {
        let file = try InputFile(path)
        return try PyTorchFile.isPyTorch(file) ? PyTorchFile(file) : SafeTensorsFile(path)
    }

    /// A safetensors file. Of one that `torch.save` wrote the error says how to turn it into such.
    static func safeTensors(_ path: String) throws -> SafeTensorsFile {
        guard try !PyTorchFile.isPyTorch(InputFile(path)) else {
            throw DataError("a file of torch.save", at: path, fix: "import it first: driftgpu import \(path) --output NAME")
        }
        return try SafeTensorsFile(path)
    }
}

/// The tensors of one model in a file: those below a key, under the names the model itself gives them.
public struct WeightSet: Sendable {
    public let source: any TensorSource
    /// The key, or "" for what lies at the top.
    public let key: String
    public let headers: [String: TensorHeader]
    /// The name in the file of each tensor.
    private let stored: [String: String]

    /// The tensors at `key`. Throws where there are none, or where two differ in the prefix of a wrapper alone.
    public init(_ source: any TensorSource, key: String) throws {
        let prefix = key.isEmpty ? "" : key + "/"
        var stored: [String: String] = [:]
        var headers: [String: TensorHeader] = [:]
        for (name, header) in source.headers where name.hasPrefix(prefix) && !name.dropFirst(prefix.count).contains("/") {
            let plain = Self.withoutWrappers(name.dropFirst(prefix.count))
            if let other = stored.updateValue(name, forKey: plain) {
                throw DataError("'\([other, name].sorted().joined(separator: "' and '"))' are both '\(plain)'", at: source.path,
                                fix: "save the weights of one model")
            }
            headers[plain] = header
        }
        guard !headers.isEmpty else {
            throw DataError(key.isEmpty ? "no tensors at the top" : "no tensors at the key '\(key)'", at: source.path,
                            fix: Self.choices(of: source))
        }
        self.source = source
        self.key = key
        self.stored = stored
        self.headers = headers
    }

    /// The first of `keys` that holds tensors; nil where none does.
    init?(_ source: any TensorSource, firstOf keys: [String]) throws {
        let present = Self.keys(of: source)
        guard let key = keys.first(where: present.contains) else { return nil }
        try self.init(source, key: key)
    }

    /// Keys with tensors right below them, sorted; "" for the top.
    public static func keys(of source: any TensorSource) -> [String] {
        Set(source.headers.keys.map { name in
            name.lastIndex(of: "/").map { String(name[..<$0]) } ?? ""
        }).sorted()
    }

    /// What `--key` can be, as the end of an error.
    static func choices(of source: any TensorSource) -> String {
        let keys = keys(of: source)
        let shown = keys.prefix(8).map { $0.isEmpty ? "the top" : $0 }.joined(separator: ", ")
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
