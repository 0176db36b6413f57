import DriftFormats

/// Opening weights of either format, in one file or in shards.
public enum WeightFile {
    /// Ends of the names of files that weights come in.
    static let endings = [".safetensors", ".pth", ".pt", ".ckpt", ".bin"]

    /// A file of `torch.save` or safetensors, told apart by their first bytes; an index of shards; or a folder that holds one
    /// of them. Throws a line that says what it is that has no weights.
    public static func open(_ path: String) throws -> any TensorSource {
        if Files.isFolder(path) { return try open(inside(path)) }
        if ShardedWeights.isIndex(path) { return try ShardedWeights(index: path) }
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

    /// The weights in a folder: an index of shards, or else the only file of weights.
    private static func inside(_ folder: String) throws -> String {
        guard !Files.exists(RunFolder(folder).checkpoints.path) else {
            throw DataError("a run of driftgpu", at: folder, fix: "sample from it as it is, or write its weights with driftgpu export")
        }
        let all = try Files.names(in: folder).filter { !$0.hasPrefix(".") }
        let indices = all.filter(ShardedWeights.isIndex)
        let files = indices.isEmpty ? all.filter { name in endings.contains { name.hasSuffix($0) } } : indices
        // Formats stand beside each other in many folders; the same weights are in them.
        let preferred = files.filter { $0.contains(".safetensors") }
        let chosen = preferred.isEmpty ? files : preferred
        guard let name = chosen.first else {
            throw DataError("no file of weights in this folder", at: folder,
                            fix: "name a .safetensors, .pth, .pt, .ckpt or .bin file, or a folder that holds one")
        }
        guard chosen.count == 1 else {
            throw DataError("several files of weights: \(chosen.prefix(4).joined(separator: ", "))\(chosen.count > 4 ? ", ..." : "")",
                            at: folder, fix: "name one of them")
        }
        return Files.join(folder, name)
    }
}
