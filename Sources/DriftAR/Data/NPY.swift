/// NumPy's .npy files of float32 and int32 in row-major order.
public enum NPY {
    /// Writes a tensor of floats or ints atomically.
    public static func write(_ tensor: NamedTensor, to path: String) throws {
        let kind: String
        switch tensor.values {
        case .floats: kind = "<f4"
        case .ints: kind = "<i4"
        case .longs, .bytes:
            throw DataError("only float32 and int32 are written", at: path, fix: "convert the tensor first")
        }
        let dimensions = tensor.shape.map(String.init).joined(separator: ", ") + (tensor.shape.count == 1 ? "," : "")
        var header = "{'descr': '\(kind)', 'fortran_order': False, 'shape': (\(dimensions)), }"
        // The format wants the data to start at a multiple of 64, and a newline before it.
        while (prefix.count + 2 + header.utf8.count + 1) % 64 != 0 { header += " " }
        header += "\n"
        guard let length = UInt16(exactly: header.utf8.count) else {
            throw DataError("\(tensor.shape.count) dimensions do not fit into the header", at: path,
                            fix: "reshape the tensor")
        }
        let file = try AtomicFile(path)
        try file.write(prefix)
        try file.write([length.littleEndian])
        try file.write(Array(header.utf8))
        switch tensor.values {
        case .floats(let values): try file.write(values)
        case .ints(let values): try file.write(values)
        case .longs, .bytes: break
        }
        try file.commit()
    }

    /// Reads what `write` wrote, and what NumPy writes of the same types.
    public static func read(_ path: String) throws -> NamedTensor {
        func wrong(_ what: String) -> DataError {
            DataError(what, at: path, fix: "save it from NumPy as a C-ordered float32 or int32 array")
        }
        let bytes = try Files.read(path)
        guard bytes.count >= 10, bytes.starts(with: prefix) else { throw wrong("no .npy file of version 1.0") }
        let length = Int(bytes[8]) | Int(bytes[9]) << 8
        guard bytes.count >= 10 + length else { throw wrong("the header is truncated") }
        let header = String(decoding: bytes[10..<10 + length], as: UTF8.self).filter { $0 != " " && $0 != "\n" }
        guard header.contains("'fortran_order':False"),
              let open = header.firstIndex(of: "("), let close = header.firstIndex(of: ")"), open < close
        else { throw wrong("an array in Fortran order or without a shape") }
        let fields = header[header.index(after: open)..<close].split(separator: ",")
        let shape = fields.compactMap { Int($0) }
        guard shape.count == fields.count, let count = NamedTensor.elementCount(of: shape) else {
            throw wrong("impossible shape")
        }
        let data = bytes[(10 + length)...]
        guard count <= data.count / 4, data.count == count * 4 else {
            throw wrong("\(data.count) bytes of data for the shape \(shape)")
        }
        if header.contains("'descr':'<f4'") { return try NamedTensor(shape: shape, floats: elements(data)) }
        if header.contains("'descr':'<i4'") { return try NamedTensor(shape: shape, ints: elements(data)) }
        throw wrong("neither float32 nor int32")
    }

    private static let prefix: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]

    private static func elements<Element: BitwiseCopyable>(_ data: ArraySlice<UInt8>) -> [Element] {
        data.withUnsafeBytes { bytes in
            let size = MemoryLayout<Element>.size
            return (0..<bytes.count / size).map { bytes.loadUnaligned(fromByteOffset: $0 * size, as: Element.self) }
        }
    }
}
