/// The CRC-32 of PNG and zlib (polynomial 0xEDB88320, reflected), eight bytes a step.
struct CRC32: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    var value: UInt32 { ~state }

    static func of(_ bytes: [UInt8]) -> UInt32 {
        var crc = CRC32()
        bytes.withUnsafeBytes { crc.update($0) }
        return crc.value
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        Self.tables.withUnsafeBufferPointer { table in
            var i = 0
            while i + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self)) ^ UInt64(crc)
                crc = 0
                // Table 7 belongs to the first byte: it has seven more bytes to travel through.
                for lane in 0..<8 {
                    let byte = Int(truncatingIfNeeded: word >> UInt64(8 * lane)) & 0xFF
                    crc ^= table[(7 - lane) * 256 + byte]
                }
                i += 8
            }
            while i < bytes.count {
                crc = (crc >> 8) ^ table[Int((crc ^ UInt32(bytes[i])) & 0xFF)]
                i += 1
            }
        }
        state = crc
    }

    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for n in 0..<256 {
            var c = UInt32(n)
            for _ in 0..<8 { c = c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 }
            tables[n] = c
        }
        for n in 256..<tables.count {
            let previous = tables[n - 256]
            tables[n] = tables[Int(previous & 0xFF)] ^ (previous >> 8)
        }
        return tables
    }()
}

extension InputFile {
    /// The checksum of some of its bytes, read in blocks.
    func checksum(of range: Range<Int>) throws -> UInt32 {
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
