/// The directory of a zip file (APPNOTE 6.3, with zip64): what it holds and where.
///
/// Sizes and offsets are checked against the file before anything is read by them. Nothing is decompressed here: `bytes`
/// and `data` are of stored entries, `compressedData` of any. `contents` inflates (ZipEntry.swift).
package final class ZipArchive: Sendable {
    package struct Entry: Sendable, Equatable {
        package let name: String
        /// 0: stored as it is, 8: deflated.
        let method: UInt16
        let compressedByteCount: Int
        package let byteCount: Int
        /// Of the bytes before compression; nil where the file says 0, as PyTorch writes it when told to compute none.
        package let checksum: UInt32?
        fileprivate let headerOffset: Int
    }

    package let file: InputFile
    package let entries: [String: Entry]
    /// Where the directory starts, and the entries end.
    private let directoryStart: Int

    package var path: String { file.path }

    package static let stored: UInt16 = 0
    /// The first bytes of a zip file that holds anything.
    package static let magic: [UInt8] = [0x50, 0x4B, 0x03, 0x04]

    private static let endSignature: UInt32 = 0x0605_4B50
    private static let wideEndSignature: UInt32 = 0x0606_4B50
    private static let wideLocatorSignature: UInt32 = 0x0706_4B50
    private static let directorySignature: UInt32 = 0x0201_4B50
    private static let headerSignature: UInt32 = 0x0403_4B50
    /// A directory entry without its name is 46 bytes: enough for a million of them.
    private static let directoryLimit = 100_000_000

    package convenience init(_ path: String) throws {
        try self.init(InputFile(path))
    }

    package init(_ file: InputFile) throws {
        self.file = file
        let directory = try Self.findDirectory(file)
        directoryStart = directory.lowerBound
        var cursor = ByteCursor(try file.bytes(directory))
        var entries: [String: Entry] = [:]
        while cursor.remaining > 0 {
            guard let entry = Self.entry(&cursor, fileSize: file.byteCount) else {
                throw Self.damaged(file, "its directory is damaged after \(entries.count) entries")
            }
            guard entries.updateValue(entry, forKey: entry.name) == nil else {
                throw Self.damaged(file, "two entries are called '\(entry.name)'")
            }
        }
        self.entries = entries
    }

    /// The bytes of a stored entry, compared with its checksum.
    package func bytes(_ name: String, limit: Int) throws -> [UInt8] {
        guard let entry = entries[name] else { throw Self.damaged(file, "it has no entry '\(name)'") }
        guard entry.byteCount <= limit else {
            throw DataError("entry '\(name)' of \(entry.byteCount) bytes: this program reads \(limit) at most", at: path,
                            fix: "check that the file is what it should be")
        }
        let bytes = try file.bytes(data(of: entry))
        guard entry.checksum == nil || CRC32.of(bytes) == entry.checksum else {
            throw Self.damaged(file, "entry '\(name)' does not have its checksum")
        }
        return bytes
    }

    /// Where the bytes of a stored entry lie in the file.
    package func data(of entry: Entry) throws -> Range<Int> {
        guard entry.method == Self.stored else {
            let name = entry.method == 8 ? "deflate" : "method \(entry.method)"
            throw DataError("entry '\(entry.name)' is compressed (\(name))", at: path, fix: "store it without compression")
        }
        guard entry.compressedByteCount == entry.byteCount else {
            throw Self.damaged(file, "entry '\(entry.name)' is stored in another size than its own")
        }
        return try compressedData(of: entry)
    }

    /// Where the bytes of an entry lie in the file, compressed or not.
    func compressedData(of entry: Entry) throws -> Range<Int> {
        let fixed = 30
        guard entry.headerOffset <= directoryStart - fixed else {
            throw Self.damaged(file, "entry '\(entry.name)' starts behind the entries")
        }
        var cursor = ByteCursor(try file.bytes(entry.headerOffset..<(entry.headerOffset + fixed)))
        let signature = cursor.integer(UInt32.self)
        _ = cursor.take(22)
        guard signature == Self.headerSignature, let name = cursor.integer(UInt16.self), let extra = cursor.integer(UInt16.self)
        else { throw Self.damaged(file, "entry '\(entry.name)' has no header") }
        let start = entry.headerOffset + fixed + Int(name) + Int(extra)
        guard start <= directoryStart, entry.compressedByteCount <= directoryStart - start else {
            throw Self.damaged(file, "entry '\(entry.name)' reaches behind the entries")
        }
        return start..<(start + entry.compressedByteCount)
    }

    // MARK: Directory

    private static func damaged(_ file: InputFile, _ what: String) -> DataError {
        DataError("\(what): the zip file is damaged", at: file.path, fix: "take another copy")
    }

    /// The directory's bytes, by the record at the end of the file or, in large files, the zip64 one in front of it.
    private static func findDirectory(_ file: InputFile) throws -> Range<Int> {
        let fixed = 22
        let cutOff = DataError("the end of a zip file is missing: it is cut off or no zip file", at: file.path,
                               fix: "take another copy")
        guard file.byteCount >= fixed else { throw cutOff }
        let tailStart = max(0, file.byteCount - fixed - Int(UInt16.max))
        let tail = try file.bytes(tailStart..<file.byteCount)
        var position = tail.count - fixed
        // The record ends with a comment of a length it states: one that ends with the file is the right one.
        while position >= 0 {
            var cursor = ByteCursor(tail, at: position)
            if cursor.integer(UInt32.self) == endSignature,
               Int(tail[position + 20]) + Int(tail[position + 21]) << 8 == tail.count - position - fixed { break }
            position -= 1
        }
        guard position >= 0 else { throw cutOff }
        var cursor = ByteCursor(tail, at: position + 12)
        guard let size = cursor.integer(UInt32.self), let offset = cursor.integer(UInt32.self) else { throw cutOff }
        var (bytes, start, end) = (UInt64(size), UInt64(offset), tailStart + position)
        if let wide = try wideDirectory(file, before: end) {
            (bytes, start, end) = wide
        }
        guard bytes <= directoryLimit, start <= UInt64(end), bytes <= UInt64(end) - start else {
            throw damaged(file, "its directory of \(bytes) bytes does not fit")
        }
        return Int(start)..<Int(start + bytes)
    }

    private static func wideDirectory(_ file: InputFile, before end: Int) throws -> (bytes: UInt64, start: UInt64, end: Int)? {
        let (locatorSize, recordSize) = (20, 56)
        guard end >= locatorSize + recordSize else { return nil }
        var locator = ByteCursor(try file.bytes((end - locatorSize)..<end))
        guard locator.integer(UInt32.self) == wideLocatorSignature, locator.integer(UInt32.self) != nil,
              let offset = locator.integer(UInt64.self)
        else { return nil }
        guard offset <= UInt64(end - locatorSize - recordSize) else {
            throw damaged(file, "its zip64 record lies outside")
        }
        let start = Int(offset)
        var record = ByteCursor(try file.bytes(start..<(start + recordSize)))
        guard record.integer(UInt32.self) == wideEndSignature, record.take(36) != nil,
              let bytes = record.integer(UInt64.self), let first = record.integer(UInt64.self)
        else { throw damaged(file, "its zip64 record is no such record") }
        return (bytes, first, start)
    }

    private static func entry(_ cursor: inout ByteCursor, fileSize: Int) -> Entry? {
        guard cursor.integer(UInt32.self) == directorySignature, cursor.take(4) != nil,
              let flags = cursor.integer(UInt16.self), let method = cursor.integer(UInt16.self), cursor.take(4) != nil,
              let checksum = cursor.integer(UInt32.self), let packed = cursor.integer(UInt32.self),
              let size = cursor.integer(UInt32.self), let nameLength = cursor.integer(UInt16.self),
              let extraLength = cursor.integer(UInt16.self), let commentLength = cursor.integer(UInt16.self),
              cursor.take(8) != nil, let offset = cursor.integer(UInt32.self), let nameBytes = cursor.take(Int(nameLength)),
              let extra = cursor.take(Int(extraLength)), cursor.take(Int(commentLength)) != nil,
              let name = String(validating: nameBytes, as: UTF8.self), flags & 1 == 0
        else { return nil }
        // Sizes, then the offset: each that does not fit 32 bits is found in the zip64 extra field, in this order.
        var wide = wideFields(Array(extra))
        var values: [Int] = []
        for narrow in [size, packed, offset] {
            // Deflate shrinks to a 1032nd at best.
            guard let value = narrow == .max ? wide.integer(UInt64.self) : UInt64(narrow), value <= UInt64(fileSize) * 1032
            else { return nil }
            values.append(Int(value))
        }
        guard values[1] <= fileSize, values[2] <= fileSize else { return nil }
        return Entry(name: name, method: method, compressedByteCount: values[1], byteCount: values[0],
                     checksum: checksum == 0 ? nil : checksum, headerOffset: values[2])
    }

    private static func wideFields(_ extra: [UInt8]) -> ByteCursor {
        var cursor = ByteCursor(extra)
        while let tag = cursor.integer(UInt16.self), let size = cursor.integer(UInt16.self), let field = cursor.take(Int(size)) {
            if tag == 1 { return ByteCursor(Array(field)) }
        }
        return ByteCursor([])
    }
}
