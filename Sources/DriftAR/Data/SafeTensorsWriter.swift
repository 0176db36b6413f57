/// Writing and whole-file reading of safetensors.
public enum SafeTensors {
    /// All tensors and the metadata of a file.
    public static func read(_ path: String) throws -> (tensors: [String: NamedTensor], metadata: [String: String]) {
        let file = try SafeTensorsFile(path)
        return (try file.tensors(), file.metadata)
    }

    /// Writes the tensors atomically. The bytes depend on the contents alone, not on the dictionary's order.
    public static func write(_ tensors: [String: NamedTensor], metadata: [String: String] = [:], to path: String) throws {
        let file = try AtomicFile(path)
        try write(tensors, metadata: metadata, to: file)
        try file.commit()
    }

    /// Writes into a file that the caller commits.
    static func write(_ tensors: [String: NamedTensor], metadata: [String: String], to file: AtomicFile) throws {
        if tensors["__metadata__"] != nil {
            throw DataError("'__metadata__' cannot be a tensor's name", at: file.path, fix: "rename the tensor")
        }
        // Wide elements first: every tensor then starts at a multiple of its element size.
        let ordered = tensors.sorted { ($1.value.elementSize, $0.key) < ($0.value.elementSize, $1.key) }
        var members: [JSON.Member] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }
            members.append(JSON.Member("__metadata__", .object(pairs)))
        }
        var offset = 0
        for (name, tensor) in ordered {
            let end = offset + tensor.count * tensor.elementSize
            members.append(JSON.Member(name, .object([
                JSON.Member("dtype", .string(tensor.elementType.rawValue)),
                JSON.Member("shape", .array(tensor.shape.map { .integer($0) })),
                JSON.Member("data_offsets", .array([.integer(offset), .integer(end)])),
            ])))
            offset = end
        }
        var header = Array(JSON.object(members).text.utf8)
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        try file.write([UInt64(header.count).littleEndian])
        try file.write(header)
        for (_, tensor) in ordered {
            switch tensor.values {
            case .floats(let values): try file.write(values)
            case .ints(let values): try file.write(values)
            case .longs(let values): try file.write(values)
            case .bytes(let values): try file.write(values)
            }
        }
    }
}

extension NamedTensor {
    var elementType: SafeTensorsFile.ElementType {
        switch values {
        case .floats: .f32
        case .ints: .i32
        case .longs: .i64
        case .bytes: .u8
        }
    }

    var elementSize: Int { elementType.size }
}
