import TestSupport
import Testing

@testable import DriftFormats

@Suite struct ZipArchiveTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// A zip file put together by hand: one stored entry, its fields open to change.
    private struct Made {
        var name = "a"
        var data: [UInt8] = [1, 2, 3]
        var method: UInt16 = 0
        var flags: UInt16 = 0
        var checksum: UInt32?
        var size: UInt32?
        var packed: UInt32?
        var headerOffset: UInt32 = 0
        var extra: [UInt8] = []
        var copies = 1
        var directorySize: UInt32?
        var directoryOffset: UInt32?
        var comment: [UInt8] = []
        /// Bytes between directory and end record.
        var between: [UInt8] = []

        func bytes() -> [UInt8] {
            let crc = checksum ?? CRC32.of(data)
            let (packed, size) = (packed ?? UInt32(data.count), size ?? UInt32(data.count))
            let common = little(flags) + little(method) + little(UInt32(0)) + little(crc) + little(packed) + little(size)
                + little(UInt16(name.utf8.count))
            let header = little(UInt32(0x0403_4B50)) + little(UInt16(20)) + common + little(UInt16(0)) + Array(name.utf8)
            let entry = little(UInt32(0x0201_4B50)) + little(UInt32(20)) + common + little(UInt16(extra.count))
                + [UInt8](repeating: 0, count: 10) + little(headerOffset) + Array(name.utf8) + extra
            let directory = Array(repeatElement(entry, count: copies).joined())
            let end = little(UInt32(0x0605_4B50)) + little(UInt32(0)) + little(UInt16(copies)) + little(UInt16(copies))
                + little(directorySize ?? UInt32(directory.count)) + little(directoryOffset ?? UInt32(header.count + data.count))
                + little(UInt16(comment.count)) + comment
            return header + data + directory + between + end
        }
    }

    private func archive(_ change: (inout Made) -> Void) throws -> ZipArchive {
        var made = Made()
        change(&made)
        return try ZipArchive(folder.write(made.bytes(), to: "made.zip"))
    }

    @Test func reads() throws {
        let plain = try archive { $0.comment = Array("PK\u{5}\u{6} of a comment".utf8) }
        #expect(try plain.bytes("a", limit: 3) == [1, 2, 3])
        #expect(errorText { _ = try plain.bytes("a", limit: 2) }?.contains("reads 2 at most") == true)
        #expect(errorText { _ = try plain.bytes("b", limit: 2) }?.contains("no entry 'b'") == true)
        #expect(try archive { $0.checksum = 0 }.bytes("a", limit: 3) == [1, 2, 3])
        #expect(try ZipArchive(folder.write(little(UInt32(0x0605_4B50)) + [UInt8](repeating: 0, count: 18), to: "none")).entries.isEmpty)
    }

    @Test func readsZip64() throws {
        let wide = try archive {
            ($0.size, $0.packed, $0.headerOffset) = (.max, .max, .max)
            $0.extra = little(UInt16(9)) + little(UInt16(2)) + [7, 7] + little(UInt16(1)) + little(UInt16(24))
                + little(UInt64(3)) + little(UInt64(3)) + little(UInt64(0))
        }
        #expect(try wide.bytes("a", limit: 3) == [1, 2, 3])
        // Directory behind a zip64 record.
        let start: UInt64 = 34
        let length: UInt64 = 47
        let record = little(UInt32(0x0606_4B50)) + little(UInt64(44)) + [UInt8](repeating: 0, count: 28) + little(length) + little(start)
        let locator = little(UInt32(0x0706_4B50)) + little(UInt32(0)) + little(start + length) + little(UInt32(1))
        let long = try archive {
            ($0.directorySize, $0.directoryOffset, $0.between) = (.max, .max, record + locator)
        }
        #expect(try long.bytes("a", limit: 3) == [1, 2, 3])
        let outside = little(UInt32(0x0706_4B50)) + little(UInt32(0)) + little(UInt64.max) + little(UInt32(1))
        #expect(errorText { _ = try archive { $0.between = record + outside } }?.contains("zip64 record") == true)
    }

    @Test func inflates() throws {
        // One stored block of deflate.
        let packed: [UInt8] = [1, 3, 0, 0xFC, 0xFF, 1, 2, 3]
        func contents(_ change: (inout Made) -> Void = { _ in }) throws -> [UInt8] {
            try archive {
                ($0.method, $0.data, $0.size, $0.checksum) = (8, packed, 3, CRC32.of([1, 2, 3]))
                change(&$0)
            }.contents("a", limit: 100)
        }
        #expect(try contents() == [1, 2, 3])
        let cases: [(String, (inout Made) -> Void)] = [
            ("not of the size", { $0.size = 2 }), ("not of the size", { $0.size = 4 }), ("not of the size", { $0.size = 0 }),
            ("not of the size", { $0.data.append(0) }), ("it ends too early", { $0.data.removeLast() }),
            ("it ends too early", { $0.data = [] }), ("invalid stored block", { $0.data[3] = 0 }), ("checksum", { $0.data[7] = 4 }),
            ("at most 100 are read", { $0.size = 101 }),
        ]
        for (part, change) in cases {
            let text = errorText { _ = try contents(change) }
            #expect(text?.contains(part) == true && text?.contains("entry 'a'") == true, "\(part): \(text ?? "was read")")
        }
    }

    @Test func refuses() throws {
        let cases: [(String, (inout Made) -> Void)] = [
            ("two entries are called 'a'", { $0.copies = 2 }), ("compressed (deflate)", { $0.method = 8 }),
            ("compressed (method 12)", { $0.method = 12 }), ("directory is damaged", { $0.flags = 1 }),
            ("checksum", { $0.checksum = 5 }), ("another size", { $0.size = 2 }), ("reaches behind", { ($0.size, $0.packed) = (40, 40) }),
            ("directory is damaged", { $0.packed = 4_000_000 }), ("directory is damaged", { $0.size = .max }),
            ("has no header", { $0.headerOffset = 1 }), ("starts behind", { $0.headerOffset = 30 }),
            ("directory is damaged", { $0.headerOffset = 100_000 }), ("directory", { $0.directorySize = 46 }), ("directory", { $0.directorySize = 5_000_000 }),
            ("directory", { $0.directoryOffset = .max }), ("directory is damaged", { $0.directoryOffset = 3 }),
        ]
        for (part, change) in cases {
            let text = errorText { _ = try archive(change).bytes("a", limit: 1000) }
            #expect(text?.contains(part) == true, "\(part): \(text ?? "was read")")
        }
        #expect(errorText { _ = try ZipArchive(folder.write([], to: "none")) }?.contains("cut off or no zip file") == true)
        #expect(errorText { _ = try ZipArchive(folder.write([UInt8](repeating: 0x50, count: 70000), to: "none")) }?.contains("cut off") == true)
    }
}
