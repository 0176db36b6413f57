import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct ShardedWeightsTests {
    let folder: TestFolder
    private static let names = (1...3).map { "model-0000\($0)-of-00003.safetensors" }

    init() throws { folder = try TestFolder() }

    /// The tensors of a model in three shards and an index in `sharded`; gives the tensors.
    @discardableResult
    private func write(change: (inout [String: String]) -> Void = { _ in }) throws -> [String: NamedTensor] {
        let prefix = "model_ema/"
        let all = try PyTorchFixtures.expected("drift_ar.pth").filter { $0.key.hasPrefix(prefix) }
        let tensors = Dictionary(uniqueKeysWithValues: all.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
        try Files.makeFolder(folder.file("sharded"))
        var map: [String: String] = [:]
        for (number, name) in tensors.keys.sorted().enumerated() { map[name] = Self.names[number % 3] }
        for file in Self.names {
            try SafeTensors.write(tensors.filter { map[$0.key] == file }, metadata: ["format": "pt"], to: folder.file("sharded/" + file))
        }
        change(&map)
        let members = map.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }
        let index = JSON.object([JSON.Member("metadata", .object([JSON.Member("total_size", .integer(0))])), JSON.Member("weight_map", .object(members))])
        try folder.write(index.text, to: "sharded/model.safetensors.index.json")
        return tensors
    }

    @Test("weights in shards are read through their index, given it or its folder")
    func reads() throws {
        let tensors = try write()
        for path in ["sharded", "sharded/model.safetensors.index.json"] {
            let source = try WeightFile.open(folder.file(path))
            #expect(try source.tensors() == tensors && source.metadata == ["format": "pt"])
            try source.verify(source.names)
            let weights = try WeightImport(source, options: ImportOptions(heads: 2, patch: 2))
            #expect(weights.isExact)
            #expect(try SafeTensors.read(weights.write(to: folder.file("out"), overwrite: true)[0]).tensors == tensors)
        }
        let outlines = try WeightOutline.all(at: folder.file("sharded"))
        #expect(outlines.map(\.format) == ["shards"] && outlines[0].total.tensors == tensors.count)
    }

    @Test("one shard alone is said to be one, and where the rest is")
    func oneShard() throws {
        try write()
        let text = errorText { _ = try WeightImport(WeightFile.open(folder.file("sharded/" + Self.names[1])), options: ImportOptions(heads: 2)) }
        #expect(text?.contains("shard 2 of 3; name the index of all of them: \(folder.file("sharded/model.safetensors.index.json"))") == true, "\(text ?? "")")
        try Files.removeTree(folder.file("sharded/model.safetensors.index.json"))
        #expect(errorText { _ = try WeightImport(WeightFile.open(folder.file("sharded/" + Self.names[1]))) }?.contains("get all shards") == true)
        #expect(errorText { _ = try WeightFile.open(folder.file("sharded")) }?.contains("several files of weights: model-00001") == true)
        // Whole models may have such names, too.
        #expect(ShardedWeights.error(forShard: "model-00001-of-00001.safetensors") == nil)
    }

    @Test("an index that does not go with its shards is an error that names them")
    func refuses() throws {
        try write()
        try Files.removeTree(folder.file("sharded/" + Self.names[2]))
        #expect(errorText { _ = try WeightFile.open(folder.file("sharded")) }?.contains("\(Self.names[2]): the shard is missing") == true)
        for (value, part) in [("../x", "no name of a file beside the index"), ("", "no name of a file"), (".hidden", "no name of a file")] {
            try write { $0["class_emb.weight"] = value }
            #expect(errorText { _ = try WeightFile.open(folder.file("sharded")) }?.contains(part) == true, "\(value)")
        }
        try write { $0["none"] = Self.names[0] }
        #expect(errorText { _ = try WeightFile.open(folder.file("sharded")) }?.contains("tensor 'none' is not in \(Self.names[0])") == true)
        for (text, part) in [("{}", "no weight_map"), ("{", "no index of shards"), ("<html>", "no index of shards"), (#"{"weight_map":{"a":1}}"#, "lies in 1")] {
            try folder.write(text, to: "sharded/model.safetensors.index.json")
            #expect(errorText { _ = try WeightFile.open(folder.file("sharded")) }?.contains(part) == true, "\(text)")
        }
    }

    @Test("a folder is opened where it holds one file of weights")
    func folders() throws {
        try Files.makeFolder(folder.file("model"))
        #expect(errorText { _ = try WeightFile.open(folder.file("model")) }?.contains("no file of weights in this folder") == true)
        let tensor = try NamedTensor(shape: [1], floats: [1])
        try SafeTensors.write(["a": tensor], to: folder.file("model/model.safetensors"))
        try folder.write("text", to: "model/pytorch_model.bin")
        #expect(try WeightFile.open(folder.file("model")).tensors() == ["a": tensor])
        try Files.makeFolder(folder.file("model/checkpoints"))
        #expect(errorText { _ = try WeightFile.open(folder.file("model")) }?.contains("a run of driftgpu") == true)
    }
}
