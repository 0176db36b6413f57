import CZlib

/// The CRC-32 of PNG, zip and gzip, by zlib.
package struct CRC32: Sendable {
    package private(set) var value: UInt32 = 0

    package init() {}

    package static func of(_ bytes: [UInt8]) -> UInt32 {
        var crc = CRC32()
        bytes.withUnsafeBytes { crc.update($0) }
        return crc.value
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // Without bytes zlib would give its starting value.
        guard let base = bytes.baseAddress else { return }
        value = UInt32(truncatingIfNeeded: crc32_z(UInt(value), base.assumingMemoryBound(to: UInt8.self), bytes.count))
    }
}

extension InputFile {
    /// What tells the file at `path` from others, wherever it lies: the checksum of all its bytes, and how many there are.
    package static func fingerprint(of path: String) throws -> String {
        let file = try InputFile(path)
        return "\(String(try file.checksum(of: 0..<file.byteCount), radix: 16)), \(file.byteCount) bytes"
    }

    /// The checksum of some of its bytes, read in blocks.
    package func checksum(of range: Range<Int>) throws -> UInt32 {
        var crc = CRC32()
        var block = [UInt8](repeating: 0, count: min(1 << 20, max(1, range.count)))
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = min(block.count, range.upperBound - offset)
            try block.withUnsafeMutableBytes { buffer in
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                try read(at: offset, into: part)
                crc.update(UnsafeRawBufferPointer(part))
            }
            offset += count
        }
        return crc.value
    }
}
