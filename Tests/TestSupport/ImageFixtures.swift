import DriftData
import DriftFormats

/// Pictures of Tests/Fixtures/images, and the writing of small data sets.
package enum ImageFixtures {
    package static let folder = Files.join(Files.parent(of: Files.parent(of: #filePath)), "Fixtures/images")

    package static func path(_ name: String) -> String { Files.join(folder, name) }

    package static func picture(_ name: String) throws -> Picture { try Picture.read(path(name)) }

    /// Largest difference of two pictures' values; nil where they differ in shape.
    package static func difference(_ a: Picture, _ b: Picture) -> Int? {
        guard (a.width, a.height, a.channels) == (b.width, b.height, b.channels) else { return nil }
        return zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max()
    }

    package static func noise(_ width: Int, _ height: Int, _ channels: Int, seed: UInt64) throws -> Picture {
        var random = TestNumbers(seed)
        let pixels = (0..<width * height * channels).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return try Picture(width: width, height: height, channels: channels, pixels: pixels)
    }

    /// Writes `perClass` pictures for each class to FOLDER/CLASS/N.png.
    package static func writeFolder(_ folder: String, classes: [String], perClass: Int, size: Int = 12, channels: Int = 3) throws {
        for (label, name) in classes.enumerated() {
            try Files.makeFolder(Files.join(folder, name))
            for n in 0..<perClass {
                let picture = try noise(size + n % 3, size, channels, seed: UInt64(1 + label * 1000 + n))
                try PNG.write(picture, to: Files.join(folder, "\(name)/\(n).png"))
            }
        }
    }

    /// An IDX file of bytes.
    package static func idx(_ sizes: [Int], _ bytes: [UInt8]) -> [UInt8] {
        [0, 0, 8, UInt8(sizes.count)] + sizes.flatMap { size in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: size >> $0) } } + bytes
    }

    /// A gzip file that stores its bytes in blocks of their own.
    package static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        func little(_ value: UInt32, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) } }
        var result: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
        for start in stride(from: 0, to: max(bytes.count, 1), by: 1000) {
            let block = bytes[min(start, bytes.count)..<min(start + 1000, bytes.count)]
            result += [start + 1000 >= bytes.count ? 1 : 0] + little(UInt32(block.count), 2) + little(~UInt32(block.count), 2) + block
        }
        return result + little(CRC32.of(bytes), 4) + little(UInt32(bytes.count), 4)
    }

    package static func values(_ set: ImageSet, _ index: Int, _ variant: ImageVariant = .plain) throws -> [Float] {
        var values = [Float](repeating: .nan, count: set.valueCount)
        try values.withUnsafeMutableBufferPointer { try set.read([DrawnImage(index: index, variant: variant)], to: $0) }
        return values
    }
}
