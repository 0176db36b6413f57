/// A hash of 64 bits over words of 32. Each step is one-to-one in the state and in the word, so any single change shows. It keeps
/// mistakes apart, not attacks.
package struct WordHash {
    package private(set) var value: UInt64 = 0x243F_6A88_85A3_08D3

    package init() {}

    package mutating func add(_ word: UInt32) {
        value = (value ^ UInt64(word)) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 29
    }

    /// Four bytes a word, zeros after the last one, then how many there are.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var place = 0
        while place + 4 <= bytes.count {
            add(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
            place += 4
        }
        var last: UInt32 = 0
        while place < bytes.count {
            last = last << 8 | UInt32(bytes[place])
            place += 1
        }
        add(last)
        add(UInt32(truncatingIfNeeded: bytes.count))
    }

    /// In hexadecimal.
    package var text: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
