extension ZipArchive {
    /// The bytes of an entry, inflated where it is deflated, and compared with its checksum.
    package func contents(_ name: String, limit: Int) throws -> [UInt8] {
        guard let entry = entries[name], entry.method == Self.deflated else { return try bytes(name, limit: limit) }
        func damaged(_ what: String) -> DataError {
            DataError("entry '\(name)' \(what)", at: path, fix: "take another copy of the file")
        }
        // Memory is only taken for what can be there.
        guard entry.byteCount <= limit, entry.compressedByteCount <= limit,
            entry.byteCount <= Inflater.mostRatio * (entry.compressedByteCount + 1)
        else { throw damaged("of \(entry.byteCount) bytes from \(entry.compressedByteCount): at most \(limit) are read") }
        let inflater = try Inflater(file, compressedData(of: entry), .none) { damaged("cannot be inflated: \($0)") }
        let bytes = try [UInt8](unsafeUninitializedCapacity: entry.byteCount) { buffer, filled in
            filled = try inflater.read(
                into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<entry.byteCount]))
        }
        guard bytes.count == entry.byteCount, try inflater.finish(), inflater.unread == 0 else {
            throw damaged("is not of the size its directory says")
        }
        guard entry.checksum == nil || CRC32.of(bytes) == entry.checksum else { throw damaged("does not have its checksum") }
        return bytes
    }

    private static let deflated: UInt16 = 8
}
