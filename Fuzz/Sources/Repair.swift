@testable import DriftAR
@testable import DriftFormats

/// Puts checksums right in mutated inputs: an input whose checksum is wrong shows nothing of what lies behind the check.
enum Repair {
    /// The checksum of every chunk that is whole.
    @Sendable static func png(_ bytes: UnsafeMutableBufferPointer<UInt8>) {
        var start = 8
        while start + 12 <= bytes.count {
            let length = bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
            let end = start + 8 + length
            guard end + 4 <= bytes.count else { return }
            let checksum = CRC32.of(Array(bytes[start + 4..<end]))
            for i in 0..<4 { bytes[end + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(24 - 8 * i)) }
            start = end + 4
        }
    }

    /// A zip file's entries say that they have no checksum.
    @Sendable static func zip(_ bytes: UnsafeMutableBufferPointer<UInt8>) {
        var i = 0
        while i + 20 <= bytes.count {
            if bytes[i] == 0x50, bytes[i + 1] == 0x4B, bytes[i + 2] == 1, bytes[i + 3] == 2 {
                for k in 16..<20 { bytes[i + k] = 0 }
            }
            i += 1
        }
    }
}
