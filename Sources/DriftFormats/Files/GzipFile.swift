/// A file read from its beginning, inflated where it is a gzip file.
final class GzipFile {
    let path: String
    /// Bytes that the file can hold at most, inflated.
    let mostBytes: Int
    private let file: InputFile
    private var offset = 0
    /// Nil for a file that is not compressed.
    private let inflater: Inflater?

    init(_ path: String) throws {
        self.path = path
        let file = try InputFile(path)
        self.file = file
        var magic: [UInt8] = [0, 0]
        if file.byteCount >= 2 { try magic.withUnsafeMutableBytes { try file.read(at: 0, into: $0) } }
        guard magic == Inflater.gzipMagic else {
            (mostBytes, inflater) = (file.byteCount, nil)
            return
        }
        let most = file.byteCount.multipliedReportingOverflow(by: Inflater.mostRatio)
        mostBytes = most.overflow ? .max : most.partialValue
        inflater = try Inflater(file, 0..<file.byteCount, .gzip) {
            DataError("damaged gzip data: \($0)", at: path, fix: "copy or download the file again")
        }
    }

    /// What gunzip would warn of: bytes behind the gzip data that are passed over. Known after `end`.
    var warning: String? {
        guard let ignored = inflater?.ignoredBytes, ignored > 0 else { return nil }
        return "\(path): \(ignored) bytes behind the gzip data are passed over"
    }

    /// Fills the buffer with the next bytes, or throws.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws {
        guard let inflater else {
            try file.read(at: offset, into: buffer)
            offset += buffer.count
            return
        }
        guard try inflater.read(into: buffer) == buffer.count else { throw ended }
    }

    /// The first bytes, as many as there are up to `count`. Leaves the file there.
    func beginning(_ count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            if let inflater {
                filled = try inflater.read(into: room)
            } else {
                filled = min(count, file.byteCount - offset)
                try read(into: UnsafeMutableRawBufferPointer(rebasing: room[..<filled]))
            }
        }
    }

    /// The next `count` bytes, which the file must be able to hold.
    func bytes(_ count: Int) throws -> [UInt8] {
        guard count <= mostBytes else { throw ended }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
            filled = count
        }
    }

    /// Throws unless everything has been read, and where a checksum at the end is wrong.
    func end() throws {
        guard try inflater?.finish() ?? (offset == file.byteCount) else {
            throw DataError("more bytes than its header names", at: path, fix: "take another copy of the file")
        }
    }

    private var ended: DataError {
        DataError("it ends too early", at: path, fix: "copy or download the file again")
    }
}
