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
    package static func write(_ tensors: [String: NamedTensor], metadata: [String: String], to file: AtomicFile) throws {
        let parts = tensors.map { name, tensor in
            SafeTensorsPart(name: name, type: tensor.elementType, shape: tensor.shape, count: tensor.count) { file in
                switch tensor.values {
                case .floats(let values): try file.write(values)
                case .ints(let values): try file.write(values)
                case .longs(let values): try file.write(values)
                case .bytes(let values): try file.write(values)
                }
            }
        }
        try write(parts, metadata: metadata, to: file)
    }

    /// Writes tensors whose values are asked for one after the other, so that only one of them is in memory at a time.
    /// The caller commits the file.
    package static func write(_ parts: [SafeTensorsPart], metadata: [String: String], to file: AtomicFile) throws {
        if parts.contains(where: { $0.name == "__metadata__" }) {
            throw DataError("'__metadata__' cannot be a tensor's name", at: file.path, fix: "rename the tensor")
        }
        // Wide elements first: every tensor then starts at a multiple of its element size.
        let ordered = parts.sorted { ($1.type.size, $0.name) < ($0.type.size, $1.name) }
        var members: [JSON.Member] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }
            members.append(JSON.Member("__metadata__", .object(pairs)))
        }
        var offset = 0
        for part in ordered {
            let end = offset + part.count * part.type.size
            members.append(JSON.Member(part.name, .object([
                JSON.Member("dtype", .string(part.type.rawValue)),
                JSON.Member("shape", .array(part.shape.map { .integer($0) })),
                JSON.Member("data_offsets", .array([.integer(offset), .integer(end)])),
            ])))
            offset = end
        }
        var header = Array(JSON.object(members).text.utf8)
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        try file.write([UInt64(header.count).littleEndian])
        try file.write(header)
        for part in ordered {
            let start = file.byteCount
            try part.write(file)
            guard file.byteCount - start == part.count * part.type.size else {
                throw DataError("tensor '\(part.name)' gave \(file.byteCount - start) bytes, not \(part.count * part.type.size)",
                                at: file.path, fix: "this is an error of the program: please report it")
            }
        }
    }
}

/// A tensor to be written: what its header says, and how its bytes get into the file when their turn comes.
package struct SafeTensorsPart {
    package let name: String
    package let type: SafeTensorsFile.ElementType
    package let shape: [Int]
    package let count: Int
    package let write: (AtomicFile) throws -> Void

    package init(name: String, type: SafeTensorsFile.ElementType, shape: [Int], count: Int, write: @escaping (AtomicFile) throws -> Void) {
        (self.name, self.type, self.shape, self.count, self.write) = (name, type, shape, count, write)
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
