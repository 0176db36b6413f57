import Testing
@testable import DriftFormats

@Suite struct TensorBoardEventTests {
    @Test("CRC-32C of RFC 3720, B.4")
    func checksums() {
        let read: [UInt8] = [
            0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0,
            0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
        ]
        #expect(CRC32C.of([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.of([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.of(Array(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.of((0..<32).reversed()) == 0x113F_DB5C)
        #expect(CRC32C.of(read) == 0xD996_3A56)
        #expect(CRC32C.of(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.of([]) == 0)
    }

    // The bytes are those of protobuf's Python and TensorBoard's masked_crc32c.
    @Test("an event of a value: length, checksum, message, checksum")
    func scalar() {
        let event = TensorBoardEvent(time: 1, step: 300, content: .scalars([("train/loss", 0.5)]))
        let message: [UInt8] =
            [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F] + [0x10, 0xAC, 0x02] + [0x2A, 19, 0x0A, 17]
            + [0x0A, 10] + Array("train/loss".utf8) + [0x15, 0, 0, 0, 0x3F]
        #expect(event.message == message)
        #expect(
            event.record
                == [0x21, 0, 0, 0, 0, 0, 0, 0] + [0x01, 0x7B, 0xEC, 0xF6] + message + [0xC5, 0x99, 0x76, 0xC6])
    }

    @Test("an event that a run goes on")
    func start() {
        #expect(
            TensorBoardEvent(time: 2.5, step: 8, content: .start).record
                == [0x0F, 0, 0, 0, 0, 0, 0, 0] + [0x6D, 0x53, 0x2B, 0x09] + [0x09, 0, 0, 0, 0, 0, 0, 0x04, 0x40, 0x10, 8, 0x3A, 2, 0x08, 1]
                + [0xB8, 0x09, 0x2D, 0xCA])
    }

    @Test("the version of the file, and a step that is no small number")
    func version() {
        let event = TensorBoardEvent(time: 1, step: 1 << 40, content: .fileVersion)
        #expect(
            event.message
                == [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x1A, 13] + Array("brain.Event:2".utf8))
    }

    @Test("a picture with its size")
    func image() {
        let event = TensorBoardEvent(
            time: 0, step: 1, content: .image(tag: "a", png: [7, 8, 9], width: 300, height: 2, channels: 3))
        let image: [UInt8] = [0x08, 2, 0x10, 0xAC, 0x02, 0x18, 3, 0x22, 3, 7, 8, 9]
        #expect(
            event.message == [0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0x2A, 19, 0x0A, 17, 0x0A, 1, 0x61, 0x22, 12] + image)
    }
}
