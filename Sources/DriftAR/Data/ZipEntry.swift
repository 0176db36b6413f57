import CZlib

extension ZipArchive {
    /// The bytes of an entry, inflated where it is deflated, and compared with its checksum.
    func contents(_ name: String, limit: Int) throws -> [UInt8] {
        guard let entry = entries[name], entry.method == Self.deflated else { return try bytes(name, limit: limit) }
        func damaged(_ what: String) -> DataError {
            DataError("entry '\(name)' \(what)", at: path, fix: "take another copy of the file")
        }
        // Deflate packs no better than 1032 : 1, so memory is only taken for what can be there.
        guard entry.byteCount <= limit, entry.compressedByteCount <= limit,
            entry.byteCount <= 1032 * (entry.compressedByteCount + 1)
        else { throw damaged("of \(entry.byteCount) bytes from \(entry.compressedByteCount): at most \(limit) are read") }
        let range = try compressedData(of: entry)
        var packed = [UInt8](repeating: 0, count: range.count)
        try packed.withUnsafeMutableBytes { try file.read(at: range.lowerBound, into: $0) }
        guard let bytes = Self.inflated(&packed, byteCount: entry.byteCount) else { throw damaged("cannot be inflated") }
        guard entry.checksum == nil || CRC32.of(bytes) == entry.checksum else { throw damaged("does not have its checksum") }
        return bytes
    }

    private static let deflated: UInt16 = 8

    /// A whole deflate stream; nil unless it gives exactly that many bytes.
    private static func inflated(_ packed: inout [UInt8], byteCount: Int) -> [UInt8]? {
        guard let available = UInt32(exactly: packed.count), let room = UInt32(exactly: byteCount) else { return nil }
        // zlib remembers where its stream lies, so it must not move.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        // Negative bits of window: no header and no checksum around the data.
        guard inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(stream) }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        let result = packed.withUnsafeMutableBufferPointer { input in
            bytes.withUnsafeMutableBufferPointer { output in
                (stream.pointee.next_in, stream.pointee.avail_in) = (input.baseAddress, available)
                (stream.pointee.next_out, stream.pointee.avail_out) = (output.baseAddress, room)
                return inflate(stream, Z_FINISH)
            }
        }
        return result == Z_STREAM_END && stream.pointee.avail_out == 0 && stream.pointee.avail_in == 0 ? bytes : nil
    }
}
