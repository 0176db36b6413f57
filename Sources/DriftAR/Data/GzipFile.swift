import CZlib

/// A file read from its beginning, inflated where it is a gzip file.
final class GzipFile {
    let path: String
    /// Bytes that the file can hold at most, inflated: deflate packs no better than 1032 : 1.
    let mostBytes: Int
    private let file: InputFile
    private var offset = 0
    /// Whether the last byte given out was the last of a gzip member.
    private var isEnded = false
    /// zlib remembers where its stream lies, so it must not move. Nil for a file that is not compressed.
    private let stream: UnsafeMutablePointer<z_stream>?
    private let input: UnsafeMutableBufferPointer<UInt8>

    init(_ path: String) throws {
        self.path = path
        let file = try InputFile(path)
        self.file = file
        var magic: [UInt8] = [0, 0]
        if file.byteCount >= 2 { try magic.withUnsafeMutableBytes { try file.read(at: 0, into: $0) } }
        guard magic == [0x1F, 0x8B] else {
            (mostBytes, stream, input) = (file.byteCount, nil, .allocate(capacity: 0))
            return
        }
        let most = file.byteCount.multipliedReportingOverflow(by: 1032)
        mostBytes = most.overflow ? .max : most.partialValue
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, and 16: a gzip header and its checksum.
        guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            stream.deallocate()
            throw DataError("zlib cannot be set up", at: path, fix: "free some memory, or unpack it with gunzip")
        }
        self.stream = stream
        input = .allocate(capacity: 1 << 16)
    }

    deinit {
        if let stream {
            inflateEnd(stream)
            stream.deallocate()
        }
        input.deallocate()
    }

    /// Fills the buffer with the next bytes, or throws.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws {
        guard let stream else {
            try file.read(at: offset, into: buffer)
            offset += buffer.count
            return
        }
        var done = 0
        while done < buffer.count { done += try inflateOnce(stream, UnsafeMutableRawBufferPointer(rebasing: buffer[done...])) }
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
        guard let stream else {
            if offset != file.byteCount { throw tooLong }
            return
        }
        var byte: UInt8 = 0
        let more = try withUnsafeMutableBytes(of: &byte) { buffer in
            while offset < file.byteCount || stream.pointee.avail_in > 0 || !isEnded {
                if try inflateOnce(stream, buffer) > 0 { return true }
            }
            return false
        }
        if more { throw tooLong }
    }

    /// Inflates into the buffer; the number of bytes it gave, 0 at the end of a member or of the input at hand.
    private func inflateOnce(_ stream: UnsafeMutablePointer<z_stream>, _ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if stream.pointee.avail_in == 0 {
            let count = min(input.count, file.byteCount - offset)
            guard count > 0 else { throw ended }
            try file.read(at: offset, into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: input[..<count])))
            offset += count
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(count)
        }
        if isEnded {
            // Files of several members are valid: gzip made them from several files.
            inflateReset(stream)
            isEnded = false
        }
        let room = min(buffer.count, 1 << 30)
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(room)
        switch inflate(stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: isEnded = true
        default:
            let reason = stream.pointee.msg.map { String(cString: $0) } ?? "not inflated"
            throw DataError("damaged gzip data: \(reason)", at: path, fix: "take another copy of the file")
        }
        return room - Int(stream.pointee.avail_out)
    }

    private var ended: DataError {
        DataError("it ends too early", at: path, fix: "copy or download the file again")
    }

    private var tooLong: DataError {
        DataError("more bytes than its header names", at: path, fix: "take another copy of the file")
    }
}
