import TestSupport
import Testing
@testable import DriftFormats

@Suite struct PNGTests {
    private func noise(_ width: Int, _ height: Int, _ channels: Int) throws -> Picture {
        var random = TestNumbers(7)
        let pixels = (0..<width * height * channels).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return try Picture(width: width, height: height, channels: channels, pixels: pixels)
    }

    @Test(arguments: [(1, 1, 1), (1, 1, 3), (7, 3, 1), (13, 50, 3), (1, 2000, 1), (700, 500, 3)])
    func roundTrip(_ width: Int, _ height: Int, _ channels: Int) throws {
        let picture = try noise(width, height, channels)
        #expect(try PNG.decode(PNG.encode(picture)) == picture)
    }

    @Test func text() throws {
        let picture = try noise(5, 5, 3)
        let texts = [PNG.Text("Software", "driftgpu"), PNG.Text("settings", "{\"cfg\": 1.5, \"ü\": \"→\"}"), PNG.Text("empty", "")]
        let bytes = try PNG.encode(picture, text: texts)
        #expect(PNG.text(in: bytes) == texts)
        #expect(try PNG.decode(bytes) == picture)
        #expect(throws: DataError.self) { _ = try PNG.encode(picture, text: [PNG.Text("", "x")]) }
        #expect(throws: DataError.self) { _ = try PNG.encode(picture, text: [PNG.Text("ä", "x")]) }
        #expect(throws: DataError.self) { _ = try PNG.encode(picture, text: [PNG.Text("a", "x\0y")]) }
    }

    @Test func files() throws {
        let folder = try TestFolder()
        let picture = try noise(9, 4, 1)
        try PNG.write(picture, text: [PNG.Text("a", "b")], to: folder.file("p.png"))
        let read = try PNG.read(folder.file("p.png"))
        #expect(read.picture == picture)
        #expect(read.text == [PNG.Text("a", "b")])
        try folder.write("no picture", to: "q.png")
        let text = errorText { _ = try PNG.read(folder.file("q.png")) }
        #expect(text?.contains("q.png") == true)
    }

    @Test func survivesDamage() throws {
        let bytes = try PNG.encode(noise(20, 20, 3), text: [PNG.Text("key", "value"), PNG.Text("k2", "ü")])
        for length in 0..<bytes.count - 12 {
            let cut = Array(bytes[..<length])
            _ = PNG.text(in: cut)
            #expect(throws: DataError.self, "cut at \(length)") { _ = try PNG.decode(cut) }
        }
        var random = TestNumbers(3)
        for _ in 0..<500 {
            var damaged = bytes
            for _ in 0...random.below(3) { damaged[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            _ = PNG.text(in: damaged)
            _ = try? PNG.decode(damaged)
        }
    }

    @Test func claimedSizeMustBeJustified() throws {
        var bytes = try PNG.encode(noise(4, 4, 1))
        // The header claims 2^19 x 2^10 pixels, with a right checksum.
        bytes.replaceSubrange(16..<24, with: [0, 8, 0, 0, 0, 0, 4, 0])
        let crc = CRC32.of(Array(bytes[12..<29]))
        bytes.replaceSubrange(29..<33, with: [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: crc >> UInt32($0)) })
        let text = errorText { _ = try PNG.decode(bytes) }
        #expect(text?.contains("524288 x 1024 pixels in") == true)
    }

    @Test("a chunk's length is no reason to make room for two gigabytes")
    func chunkLongerThanTheFile() throws {
        var bytes = try PNG.encode(noise(2, 1, 3))
        bytes.insert(contentsOf: [0x78, 0, 0, 8] + Array("iTXt".utf8) + [0, 0, 0, 0], at: 8 + 12 + 13)
        #expect(errorText { _ = try PNG.decode(bytes) }?.contains("longer than the rest") == true)
    }
}
