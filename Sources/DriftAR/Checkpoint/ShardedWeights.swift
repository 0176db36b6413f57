import DriftFormats

/// Weights in several files, found through the index beside them: `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
public final class ShardedWeights: TensorSource {
    /// The index.
    public let path: String
    public let metadata: [String: String]
    public let headers: [String: TensorHeader]
    public let foreign: [String: ForeignTensor]
    /// The shard of each tensor.
    private let shards: [String: any TensorSource]

    private static let ending = ".index.json"
    private static let indexLimit = 64 << 20
    /// Every shard stays open, and a process may have some thousand files open.
    private static let shardLimit = 512

    static func isIndex(_ path: String) -> Bool { path.hasSuffix(ending) }

    /// Opens every shard that the index names. Throws where one is missing or does not hold what the index says.
    init(index path: String) throws {
        func wrong(_ what: String, _ remedy: String = "take another copy of the index") -> DataError { DataError(what, at: path, fix: remedy) }
        guard try InputFile(path).byteCount <= Self.indexLimit else { throw wrong("an index of more than \(Self.indexLimit) bytes") }
        let json: JSON
        do {
            json = try JSON.parse(Files.read(path), repeatedKeys: true)
        } catch let error as JSON.ParseError {
            throw wrong("no index of shards: \(error)")
        }
        guard let map = json["weight_map"]?.members else { throw wrong("no index of shards: it has no weight_map") }
        var files: [String: any TensorSource] = [:]
        var (headers, foreign): ([String: TensorHeader], [String: ForeignTensor]) = ([:], [:])
        var (shards, metadata): ([String: any TensorSource], [String: String]) = ([:], [:])
        for member in map {
            guard let file = member.value.string, !file.isEmpty, !file.hasPrefix("."), !file.contains("/") else {
                throw wrong("tensor '\(member.key)' lies in \(member.value.text), which is no name of a file beside the index")
            }
            let shard = try files[file] ?? Self.shard(file, beside: path)
            files[file] = shard
            guard files.count <= Self.shardLimit else { throw wrong("more than \(Self.shardLimit) shards", "merge some of them") }
            if let header = shard.headers[member.key] {
                headers[member.key] = header
            } else if let tensor = shard.foreign[member.key] {
                foreign[member.key] = tensor
            } else {
                throw wrong("tensor '\(member.key)' is not in \(file), where the index says", "take index and shards of one model")
            }
            shards[member.key] = shard
            metadata.merge(shard.metadata) { first, _ in first }
        }
        (self.path, self.metadata, self.headers, self.foreign, self.shards) = (path, metadata, headers, foreign, shards)
    }

    private static func shard(_ name: String, beside index: String) throws -> any TensorSource {
        let path = Files.join(Files.parent(of: index), name)
        guard Files.exists(path) else {
            throw DataError("the shard is missing", at: path, fix: "download it, too: \(Files.name(of: index)) names it")
        }
        let file = try InputFile(path)
        return try PyTorchFile.isPyTorch(file) ? PyTorchFile(file) : SafeTensorsFile(path)
    }

    public func header(_ name: String) throws -> TensorHeader { try shard(of: name).header(name) }

    public func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element] {
        try shard(of: name).elements(name, of: type)
    }

    public func verify(_ names: [String]) throws {
        for (_, group) in try Dictionary(grouping: names, by: { try shard(of: $0).path }).sorted(by: { $0.key < $1.key }) {
            try group.first.map(shard(of:))?.verify(group)
        }
    }

    private func shard(of name: String) throws -> any TensorSource {
        guard let shard = shards[name] else {
            throw DataError("no tensor '\(name)' among its \(shards.count)", at: path, fix: "see its tensors with: driftgpu inspect \(path)")
        }
        return shard
    }

    /// An error where the name says that the file is one shard of several; nil otherwise.
    static func error(forShard path: String) -> DataError? {
        let name = Files.name(of: path)
        guard let match = name.firstMatch(of: /-([0-9]{1,6})-of-([0-9]{1,6})\.[a-z]+$/),
              let number = Int(match.1), let count = Int(match.2), count > 1
        else { return nil }
        let folder = Files.parent(of: path)
        let index = (try? Files.names(in: folder))?.first(where: isIndex)
        return DataError("shard \(number) of \(count)", at: path, fix: index.map { "name the index of all of them: \(Files.join(folder, $0))" }
            ?? "get all shards and the index (model.safetensors.index.json), and name their folder")
    }
}
