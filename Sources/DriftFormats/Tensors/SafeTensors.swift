#if _endian(big)
#error("safetensors and npy data are little-endian and copied as they are")
#endif

/// A safetensors file open for reading: the header is read and validated at once, values when asked for.
///
/// Layout: 8 bytes header length n (little-endian), n bytes JSON, then the data. Everything the header says is checked
/// against the file before a value is read: lengths, types, shapes, and that the tensors cover the data exactly,
/// without holes or overlaps. Memory is only ever taken for bytes the file really has.
public final class SafeTensorsFile: TensorSource {
    /// Element types as the format spells them.
    public enum ElementType: String, Sendable {
        case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
        case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8"
        case u64 = "U64", u32 = "U32", u16 = "U16", u8 = "U8", bool = "BOOL"
        case f8e4m3 = "F8_E4M3", f8e5m2 = "F8_E5M2"

        /// Bytes an element takes.
        public var size: Int {
            switch self {
            case .f64, .i64, .u64: 8
            case .f32, .i32, .u32: 4
            case .f16, .bf16, .i16, .u16: 2
            case .i8, .u8, .bool, .f8e4m3, .f8e5m2: 1
            }
        }
    }

    /// What the header says of one tensor.
    public struct Entry: Sendable, Equatable {
        public let type: ElementType
        public let shape: [Int]
        /// Bytes of the data section.
        package let range: Range<Int>

        /// Number of elements.
        public var count: Int { range.count / type.size }
    }

    public let path: String
    public let metadata: [String: String]
    /// The tensors of types that this program reads.
    public let entries: [String: Entry]
    public let foreign: [String: ForeignTensor]
    private let file: InputFile
    private let dataStart: Int

    /// The reference implementation's own limit.
    private static let headerLimit = 100_000_000

    public init(_ path: String) throws {
        let file = try InputFile(path)
        let remedy = "it is damaged or no safetensors file: take another copy"
        guard file.byteCount >= 8 else {
            if let error = try FileSignature.weightsError(file) { throw error }
            throw DataError("only \(file.byteCount) bytes: too short for a safetensors header", at: path, fix: remedy)
        }
        var length: UInt64 = 0
        try withUnsafeMutableBytes(of: &length) { try file.read(at: 0, into: $0) }
        guard length >= 2, length <= UInt64(min(Self.headerLimit, file.byteCount - 8)) else {
            if let error = try FileSignature.weightsError(file) { throw error }
            throw DataError("header of \(length) bytes in a file of \(file.byteCount)", at: path, fix: remedy)
        }
        let headerLength = Int(length)
        let header = try file.bytes(8..<(8 + headerLength))
        guard header[0] == UInt8(ascii: "{") else {
            throw DataError("the header is no JSON object", at: path, fix: remedy)
        }
        let json: JSON
        do {
            json = try JSON.parse(header, depth: 4, repeatedKeys: true)
        } catch {
            throw DataError("bad header: \(error)", at: path, fix: remedy)
        }
        var metadata: [String: String] = [:]
        var described: [String: Description] = [:]
        let members = json.members ?? []
        guard members.count(where: { $0.key == "__metadata__" }) <= 1 else {
            throw DataError("bad header: __metadata__ twice", at: path, fix: remedy)
        }
        // Of a name that comes twice the last entry counts, as in Hugging Face's reader.
        for member in members {
            if member.key == "__metadata__" {
                metadata = try Self.metadata(member.value, path: path)
            } else {
                described[member.key] = try Self.description(member, path: path)
            }
        }
        self.path = path
        self.file = file
        self.metadata = metadata
        entries = described.compactMapValues { if case .read(let entry) = $0 { entry } else { nil } }
        foreign = described.compactMapValues { if case .foreign(let tensor, _) = $0 { tensor } else { nil } }
        self.dataStart = 8 + headerLength
        try Self.checkCoverage(described.mapValues(\.range), dataBytes: file.byteCount - dataStart, path: path)
    }

    /// An entry of the header.
    private enum Description {
        case read(Entry)
        /// Of a type that is not read; its bytes count for the whole all the same.
        case foreign(ForeignTensor, Range<Int>)

        var range: Range<Int> {
            switch self {
            case .read(let entry): entry.range
            case .foreign(_, let range): range
            }
        }
    }

    private static func metadata(_ json: JSON, path: String) throws -> [String: String] {
        var metadata: [String: String] = [:]
        if json == .null { return metadata }
        guard let members = json.members else {
            throw DataError("__metadata__ is no object", at: path, fix: "take another copy of the file")
        }
        for member in members {
            guard let text = member.value.string else {
                throw DataError("__metadata__ '\(member.key)' is no string", at: path, fix: "take another copy of the file")
            }
            metadata[member.key] = text
        }
        return metadata
    }

    private static func description(_ member: JSON.Member, path: String) throws -> Description {
        func wrong(_ what: String) -> DataError {
            DataError("tensor '\(member.key)': \(what)", at: path, fix: "take another copy of the file")
        }
        guard let fields = member.value.members, fields.count == 3,
              let typeName = member.value["dtype"]?.string,
              let dimensions = member.value["shape"]?.array,
              let offsets = member.value["data_offsets"]?.array
        else { throw wrong("the header entry is not dtype, shape and data_offsets") }
        let shape = dimensions.compactMap(\.integer)
        guard shape.count == dimensions.count, let count = NamedTensor.elementCount(of: shape) else {
            throw wrong("impossible shape \(member.value["shape"]?.text ?? "")")
        }
        guard offsets.count == 2, let begin = offsets[0].integer, let end = offsets[1].integer, begin >= 0, begin <= end
        else { throw wrong("impossible data_offsets") }
        guard let type = ElementType(rawValue: typeName) else {
            return .foreign(ForeignTensor(type: typeName, shape: shape), begin..<end)
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: type.size)
        guard !overflow, end - begin == bytes else {
            throw wrong("\(end - begin) bytes of data for the shape \(shape) of \(typeName)")
        }
        return .read(Entry(type: type, shape: shape, range: begin..<end))
    }

    private static func checkCoverage(_ ranges: [String: Range<Int>], dataBytes: Int, path: String) throws {
        let ordered = ranges.sorted { ($0.value.lowerBound, $0.value.upperBound) < ($1.value.lowerBound, $1.value.upperBound) }
        var covered = 0
        for (name, range) in ordered {
            guard range.lowerBound == covered else {
                throw DataError("tensor '\(name)' starts at byte \(range.lowerBound) of the data, not at \(covered)",
                                at: path, fix: "take another copy of the file")
            }
            covered = range.upperBound
        }
        guard covered == dataBytes else {
            let state = covered > dataBytes ? "truncated" : "too long"
            throw DataError("\(state): \(dataBytes) bytes of data where the header names \(covered)", at: path,
                            fix: "take another copy of the file")
        }
    }

    public var headers: [String: TensorHeader] {
        entries.mapValues { TensorHeader(type: $0.type, shape: $0.shape, count: $0.count) }
    }

    public func header(_ name: String) throws -> TensorHeader {
        let entry = try entry(name)
        return TensorHeader(type: entry.type, shape: entry.shape, count: entry.count)
    }

    /// The header's entry for the tensor; an error names the file and the tensor.
    public func entry(_ name: String) throws -> Entry {
        guard let entry = entries[name] else {
            if let tensor = foreign[name] { throw tensor.error(name, at: path) }
            throw DataError("no tensor '\(name)' among its \(entries.count)", at: path,
                            fix: "check that the file belongs to this model")
        }
        return entry
    }

    /// The tensor's bytes, as they lie in the file, into a buffer of exactly their number.
    public func read(_ name: String, into buffer: UnsafeMutableRawBufferPointer) throws {
        let entry = try entry(name)
        guard buffer.count == entry.range.count else {
            throw DataError("tensor '\(name)' has \(entry.range.count) bytes, not \(buffer.count)", at: path,
                            fix: "check that the file belongs to this model")
        }
        try file.read(at: dataStart + entry.range.lowerBound, into: buffer)
    }

    /// Bytes of a tensor, as they lie in the file, from its byte `offset` on.
    package func read(_ name: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let range = try entry(name).range
        guard offset >= 0, offset <= range.count, buffer.count <= range.count - offset else {
            throw DataError("tensor '\(name)' has \(range.count) bytes, not \(buffer.count) from \(offset) on", at: path,
                            fix: "check that the file belongs to this model")
        }
        try file.read(at: dataStart + range.lowerBound + offset, into: buffer)
    }

    public func elements<Element: BitwiseCopyable>(_ name: String, of type: Element.Type) throws -> [Element] {
        let entry = try entry(name)
        let range = entry.range
        guard MemoryLayout<Element>.size == entry.type.size else {
            throw DataError("tensor '\(name)' has elements of \(entry.type.size) bytes, not \(MemoryLayout<Element>.size)",
                            at: path, fix: "read it by its type, \(entry.type.rawValue)")
        }
        return try [Element](unsafeUninitializedCapacity: range.count / MemoryLayout<Element>.size) { buffer, count in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            try file.read(at: dataStart + range.lowerBound, into: .init(rebasing: bytes[..<range.count]))
            count = range.count / MemoryLayout<Element>.size
        }
    }
}
