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
        let array = try parse(Files.read(path), path)
        switch array.kind {
        case "<f4": return try NamedTensor(shape: array.shape, floats: elements(array.data))
        case "<i4": return try NamedTensor(shape: array.shape, ints: elements(array.data))
        default: throw wrong("neither float32 nor int32", path)
        }
    }

    /// The values of a float32 or float64 array, from the bytes of a file or of an entry of an .npz archive; `place` is what
    /// errors call it.
    static func doubles(_ bytes: [UInt8], _ place: String) throws -> (shape: [Int], values: [Double]) {
        let array = try parse(bytes, place)
        switch array.kind {
        case "<f4": return (array.shape, elements(array.data, of: Float.self).map(Double.init))
        case "<f8": return (array.shape, elements(array.data))
        default: throw wrong("neither float32 nor float64", place)
        }
    }

    /// Element type, shape and values of an array; as many bytes of values as type and shape say.
    private static func parse(_ bytes: [UInt8], _ place: String) throws -> (kind: String, shape: [Int], data: ArraySlice<UInt8>) {
        guard bytes.count >= 10, bytes.starts(with: prefix) else { throw wrong("no .npy file of version 1.0", place) }
        let length = Int(bytes[8]) | Int(bytes[9]) << 8
        guard bytes.count >= 10 + length else { throw wrong("the header is truncated", place) }
        let header = String(decoding: bytes[10..<10 + length], as: UTF8.self).filter { $0 != " " && $0 != "\n" }
        guard header.contains("'fortran_order':False"),
              let open = header.firstIndex(of: "("), let close = header.firstIndex(of: ")"), open < close
        else { throw wrong("an array in Fortran order or without a shape", place) }
        let fields = header[header.index(after: open)..<close].split(separator: ",")
        let shape = fields.compactMap { Int($0) }
        guard shape.count == fields.count, let count = NamedTensor.elementCount(of: shape) else {
            throw wrong("impossible shape", place)
        }
        guard let kind = ["<f4", "<i4", "<f8"].first(where: { header.contains("'descr':'\($0)'") }) else {
            throw wrong("an element type that is not read", place)
        }
        let data = bytes[(10 + length)...]
        let size = kind == "<f8" ? 8 : 4
        guard count <= data.count / size, data.count == count * size else {
            throw wrong("\(data.count) bytes of data for the shape \(shape)", place)
        }
        return (kind, shape, data)
    }

    private static func wrong(_ what: String, _ place: String) -> DataError {
        DataError(what, at: place, fix: "save it from NumPy as a C-ordered array of float32, float64 or int32, as it is needed")
    }

    private static let prefix: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]

    private static func elements<Element: BitwiseCopyable>(_ data: ArraySlice<UInt8>, of type: Element.Type = Element.self) -> [Element] {
        data.withUnsafeBytes { bytes in
            let size = MemoryLayout<Element>.size
            return (0..<bytes.count / size).map { bytes.loadUnaligned(fromByteOffset: $0 * size, as: Element.self) }
        }
    }
}
