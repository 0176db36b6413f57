/// NumPy's .npy files: numbers of any width, in either byte order, in row-major order or Fortran's.
public enum NPY {
    /// Writes a tensor of floats or ints atomically, as float32 or int32.
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
        while (magic.count + 4 + header.utf8.count + 1) % 64 != 0 { header += " " }
        header += "\n"
        guard let length = UInt16(exactly: header.utf8.count) else {
            throw DataError("\(tensor.shape.count) dimensions do not fit into the header", at: path,
                            fix: "reshape the tensor")
        }
        let file = try AtomicFile(path)
        try file.write(magic + [1, 0])
        try file.write([length.littleEndian])
        try file.write(Array(header.utf8))
        switch tensor.values {
        case .floats(let values): try file.write(values)
        case .ints(let values): try file.write(values)
        case .longs, .bytes: break
        }
        try file.commit()
    }

    /// Reads an array of numbers. Floats of any width become `floats`, uint8 and bool `bytes`, other integers `ints` or, where
    /// their type is wider than that, `longs`.
    public static func read(_ path: String) throws -> NamedTensor {
        try read(Files.read(path), path)
    }

    /// The array in the bytes of a file or of an entry of an .npz archive; `place` is what errors call it.
    package static func read(_ bytes: [UInt8], _ place: String) throws -> NamedTensor {
        let array = try NPYArray(bytes, place)
        switch array.kind {
        case "f2": return try NamedTensor(shape: array.shape, floats: array.map(UInt16.self, HalfPrecision.float(half:)))
        case "f4": return try NamedTensor(shape: array.shape, floats: array.map(UInt32.self, Float.init(bitPattern:)))
        case "f8": return try NamedTensor(shape: array.shape, floats: array.reals().map(Float.init))
        case "u1", "b1": return try NamedTensor(shape: array.shape, bytes: array.map(UInt8.self) { $0 })
        case "i1": return try NamedTensor(shape: array.shape, ints: array.map(Int8.self, Int32.init))
        case "i2": return try NamedTensor(shape: array.shape, ints: array.map(Int16.self, Int32.init))
        case "u2": return try NamedTensor(shape: array.shape, ints: array.map(UInt16.self, Int32.init))
        case "i4": return try NamedTensor(shape: array.shape, ints: array.map(Int32.self) { $0 })
        case "u4": return try NamedTensor(shape: array.shape, longs: array.map(UInt32.self, Int64.init))
        case "i8": return try NamedTensor(shape: array.shape, longs: array.map(Int64.self) { $0 })
        default:
            let values = try array.map(UInt64.self) { number in
                guard let value = Int64(exactly: number) else {
                    throw DataError("the number \(number) is beyond int64", at: place, fix: "save it as int64")
                }
                return value
            }
            return try NamedTensor(shape: array.shape, longs: values)
        }
    }

    /// The values of an array of floats of any width, exactly; `place` is what errors call it.
    package static func doubles(_ bytes: [UInt8], _ place: String) throws -> (shape: [Int], values: [Double]) {
        let array = try NPYArray(bytes, place)
        guard array.kind.hasPrefix("f") else {
            throw DataError("\(array.name), no floats", at: place, fix: "save it from NumPy as float32 or float64")
        }
        return (array.shape, try array.reals())
    }

    /// The first bytes of every .npy file; a version of two bytes follows.
    package static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
}

/// An .npy file taken apart.
private struct NPYArray {
    /// NumPy's letter and size, without the byte order: f4, u1.
    let kind: String
    let shape: [Int]
    private let isBigEndian: Bool
    private let isFortran: Bool
    private let data: ArraySlice<UInt8>

    private static let kinds = ["f2", "f4", "f8", "b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]

    /// NumPy's name of the type.
    var name: String {
        let bits = (Int(kind.dropFirst()) ?? 0) * 8
        return kind == "b1" ? "bool" : (kind.hasPrefix("f") ? "float" : kind.hasPrefix("u") ? "uint" : "int") + String(bits)
    }

    init(_ bytes: [UInt8], _ place: String) throws {
        func wrong(_ what: String) -> DataError {
            DataError(what, at: place, fix: "save it from NumPy as an array of numbers")
        }
        // Versions 2 and 3 have longer headers.
        guard bytes.starts(with: NPY.magic), bytes.count >= 12, (1...3).contains(bytes[6]) else {
            throw wrong("no .npy file of version 1 to 3")
        }
        let start = bytes[6] == 1 ? 10 : 12
        let length = bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= bytes.count - start else { throw wrong("the header is truncated") }
        let header = String(decoding: bytes[start..<(start + length)], as: UTF8.self).filter { $0 != " " && $0 != "\n" }
        guard let order = Self.text(in: header, after: "'fortran_order':", upTo: ","), order == "True" || order == "False",
              let dimensions = Self.text(in: header, after: "'shape':(", upTo: ")")
        else { throw wrong("a header without shape or order") }
        let fields = dimensions.split(separator: ",")
        shape = fields.compactMap { Int($0) }
        guard shape.count == fields.count, shape.count <= 32, let count = NamedTensor.elementCount(of: shape) else {
            throw wrong("the impossible shape (\(dimensions))")
        }
        guard let type = Self.text(in: header, after: "'descr':'", upTo: "'") else {
            throw wrong("elements of several fields")
        }
        kind = String(type.drop { "<>|=".contains($0) })
        guard Self.kinds.contains(kind), let size = Int(kind.dropFirst()) else {
            throw wrong("elements of the type \(type) that is not read")
        }
        data = bytes[(start + length)...]
        guard count <= data.count / size, data.count == count * size else {
            throw wrong("\(data.count) bytes of data for the shape \(shape) of \(size) bytes each")
        }
        (isBigEndian, isFortran) = (type.hasPrefix(">"), order == "True" && shape.count > 1 && count > 0)
    }

    private static func text(in header: String, after key: String, upTo end: Character) -> Substring? {
        guard let start = header.firstRange(of: key)?.upperBound, let stop = header[start...].firstIndex(of: end) else {
            return nil
        }
        return header[start..<stop]
    }

    /// The values of an array of floats.
    func reals() throws -> [Double] {
        switch kind {
        case "f2": try map(UInt16.self) { Double(Float16(bitPattern: $0)) }
        case "f4": try map(UInt32.self) { Double(Float(bitPattern: $0)) }
        default: try map(UInt64.self) { Double(bitPattern: $0) }
        }
    }

    /// The elements in row-major order, made from their bits.
    func map<Bits: FixedWidthInteger & BitwiseCopyable, Value>(_: Bits.Type, _ value: (Bits) throws -> Value) throws -> [Value] {
        try data.withUnsafeBytes { bytes in
            func element(_ i: Int) throws -> Value {
                let bits = bytes.loadUnaligned(fromByteOffset: i * (Bits.bitWidth / 8), as: Bits.self)
                return try value(isBigEndian ? Bits(bigEndian: bits) : Bits(littleEndian: bits))
            }
            let count = bytes.count / (Bits.bitWidth / 8)
            return try isFortran ? fortranPlaces().map(element) : (0..<count).map(element)
        }
    }

    /// Where the elements lie in Fortran's order, whose first index runs fastest, as the last one runs fastest.
    private func fortranPlaces() -> [Int] {
        var places = [0]
        var stride = 1
        for size in shape {
            places = places.flatMap { place in (0..<size).map { place + $0 * stride } }
            stride *= size
        }
        return places
    }
}
