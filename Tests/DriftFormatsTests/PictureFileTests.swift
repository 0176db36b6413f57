import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

/// Decoding, resizing and cropping against what Pillow makes of the same files (Tests/Fixtures/images/make.py).
@Suite struct PictureFileTests {
    private static let files = [
        "rgb.jpg", "gray.jpg", "progressive.jpg", "cmyk.jpg", "rotated.jpg", "palette.png", "bilevel.png", "gray16.png", "alpha.png",
        "blend.png", "soft.png", "softlossless.webp", "lossless.webp", "lossy.webp", "rgb24.bmp", "rgb32.bmp", "palette8.bmp",
        "gray8.bmp", "bilevel1.bmp",
    ]

    @Test(arguments: files) func decodes(_ name: String) throws {
        let expected = try ImageFixtures.picture(name.split(separator: ".")[0] + ".expected.png")
        // Versions of libjpeg and libwebp may round differently.
        let most = name.hasSuffix(".jpg") || name == "lossy.webp" ? 1 : 0
        let difference = ImageFixtures.difference(try ImageFixtures.picture(name), expected)
        #expect(difference.map { $0 <= most } == true, "\(name): \(difference.map(String.init) ?? "another shape")")
    }

    @Test("the header alone says how many channels a picture has", arguments: files) func channels(_ name: String) throws {
        #expect(try PictureFormat.channels(of: ImageFixtures.path(name)) == ImageFixtures.picture(name).channels)
    }

    @Test("half transparent values are blended as they are stored: 58 at 128 of 255 is 156 on white") func blends() throws {
        let blended = try ImageFixtures.picture("blend.png")
        #expect(blended.channels == 1 && blended.pixels[128 * 256 + 58] == 156)
        let pixel = try Picture(width: 1, height: 1, onWhite: [0, 100, 255, 51], channels: 4)
        #expect(pixel.pixels == [204, 224, 255])
    }

    @Test func namesWhatIsNotReadOfKnownKinds() throws {
        #expect(errorText { _ = try ImageFixtures.picture("animated.webp") }?.contains("animated.webp: an animated WebP") == true)
        var bitmap = try Files.read(ImageFixtures.path("rgb24.bmp"))
        bitmap[28] = 16
        #expect(errorText { _ = try Picture.decode(bitmap) }?.contains("a BMP of 16 bits") == true)
        // A lossless header of 16384 x 16384 pixels.
        let claim: [UInt8] = Array("RIFF".utf8) + [18, 0, 0, 0] + Array("WEBPVP8L".utf8) + [6, 0, 0, 0, 0x2F, 0xFF, 0xFF, 0xFF, 0x0F, 0]
        #expect(errorText { _ = try Picture.decode(claim) }?.contains("16384 x 16384 pixels in 26 bytes") == true)
    }

    @Test("damaged bitmaps and WebP pictures are errors or pictures, never a crash", arguments: [
        "rgb24.bmp", "palette8.bmp", "bilevel1.bmp", "lossless.webp", "lossy.webp", "softlossless.webp",
    ]) func survivesDamageOfOthers(_ name: String) throws {
        let bytes = try Files.read(ImageFixtures.path(name))
        func read(_ damaged: [UInt8]) -> Bool {
            do {
                _ = try Picture.decode(damaged)
                return true
            } catch {
                #expect(error is DataError)
                return false
            }
        }
        for length in 0..<(bytes.count / 2) { #expect(!read(Array(bytes[..<length])), "cut at \(length)") }
        for length in (bytes.count / 2)..<bytes.count { _ = read(Array(bytes[..<length])) }
        var random = TestNumbers(13)
        for _ in 0..<500 {
            var damaged = bytes
            for _ in 0...random.below(4) { damaged[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            _ = read(damaged)
        }
    }

    @Test func convertsChannels() throws {
        let colour = try ImageFixtures.picture("togray.png")
        let gray = try ImageFixtures.picture("togray.expected.png")
        #expect(colour.channels == 3 && gray.channels == 1)
        #expect(try colour.converted(channels: 1) == gray)
        #expect(try gray.converted(channels: 3).converted(channels: 1) == gray)
    }

    @Test(arguments: [
        ("box.41x30", 41, 30), ("bicubic.32x24", 32, 24), ("bicubic.83x20", 83, 20), ("bicubic.100x90", 100, 90), ("bicubic.5x70", 5, 70),
    ])
    func resizes(_ name: String, _ width: Int, _ height: Int) throws {
        let photo = try ImageFixtures.picture("photo.png")
        let resized = try photo.resized(width: width, height: height, filter: name.hasPrefix("box") ? .box : .bicubic)
        let difference = ImageFixtures.difference(resized, try ImageFixtures.picture("photo.\(name).png"))
        #expect(difference.map { $0 <= 1 } == true, "\(difference.map(String.init) ?? "another shape")")
    }

    @Test(arguments: [8, 16, 28, 48, 61, 70]) func cropsTheCentre(_ size: Int) throws {
        let transform = ImageTransform(channels: 3, height: size, width: size)
        let cropped = try transform.cropped(ImageFixtures.picture("photo.png"))
        let difference = ImageFixtures.difference(cropped, try ImageFixtures.picture("photo.centre.\(size).png"))
        #expect(difference.map { $0 <= 1 } == true, "\(difference.map(String.init) ?? "another shape")")
    }

    @Test func cropsAtRandom() throws {
        let photo = try ImageFixtures.picture("photo.png")
        let transform = ImageTransform(channels: 3, height: 16, width: 16)
        let draw = ImageVariant.CropDraw(size: 0xF000_0000, y: 0x8000_0000, x: 0x4000_0000)
        let difference = ImageFixtures.difference(
            try transform.cropped(photo, draw), try ImageFixtures.picture("photo.random.16.png"))
        #expect(difference.map { $0 <= 1 } == true, "\(difference.map(String.init) ?? "another shape")")
        var random = TestNumbers(5)
        for _ in 0..<50 {
            let draw = ImageVariant.CropDraw(
                size: UInt32(truncatingIfNeeded: random.next() << 3), y: .max, x: UInt32(truncatingIfNeeded: random.next() << 3))
            let cropped = try transform.cropped(photo, draw)
            #expect((cropped.width, cropped.height) == (16, 16))
        }
    }

    @Test func takesAnyShape() throws {
        for (width, height) in [(1, 1), (1, 3000), (3000, 1), (7, 5)] {
            let picture = try ImageFixtures.noise(width, height, 1, seed: 3)
            for (targetWidth, targetHeight) in [(1, 1), (8, 8), (3, 17), (33, 2)] {
                let transform = ImageTransform(channels: 1, height: targetHeight, width: targetWidth)
                let cropped = try transform.cropped(picture)
                #expect((cropped.width, cropped.height) == (targetWidth, targetHeight))
            }
        }
        let same = try ImageFixtures.noise(9, 9, 3, seed: 1)
        #expect(try ImageTransform(channels: 3, height: 9, width: 9).cropped(same) == same)
    }

    @Test func flipsAndScalesValues() throws {
        let picture = try Picture(width: 2, height: 1, channels: 3, pixels: [0, 51, 255, 102, 204, 153])
        let transform = ImageTransform(channels: 3, height: 1, width: 2)
        func values(_ variant: ImageVariant) throws -> [Float] {
            var bytes = [UInt8](repeating: 0, count: 6)
            try bytes.withUnsafeMutableBytes { try transform.write(picture, variant, to: $0) }
            return bytes.map(Picture.value)
        }
        let expected: [Float] = [-1, 102 / 127.5 - 1, 51 / 127.5 - 1, 204 / 127.5 - 1, 1, 153 / 127.5 - 1]
        #expect(try values(.plain) == expected)
        #expect(try values(ImageVariant(isFlipped: true)) == [1, 0, 3, 2, 5, 4].map { expected[$0] })
    }

    @Test(arguments: ["rgb.jpg", "progressive.jpg", "gray.jpg", "cmyk.jpg"]) func survivesDamage(_ name: String) throws {
        let bytes = try Files.read(ImageFixtures.path(name))
        for length in 0..<bytes.count - 4 {
            #expect(throws: DataError.self, "cut at \(length)") { _ = try Picture.decode(Array(bytes[..<length])) }
        }
        var random = TestNumbers(11)
        for _ in 0..<2000 {
            var damaged = bytes
            for _ in 0...random.below(4) { damaged[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            do {
                _ = try Picture.decode(damaged)
            } catch {
                #expect(error is DataError)
            }
        }
    }

    @Test func claimedSizeMustBeJustified() throws {
        var bytes = try Files.read(ImageFixtures.path("rgb.jpg"))
        let frame = try #require(bytes.indices.first { bytes[$0] == 0xFF && $0 + 1 < bytes.count && bytes[$0 + 1] == 0xC0 })
        bytes.replaceSubrange((frame + 5)..<(frame + 9), with: [0xFF, 0xDC, 0xFF, 0xDC])
        #expect(errorText { _ = try JPEG.decode(bytes) }?.contains("65500 x 65500 pixels in") == true)
    }

    @Test func namesWhatIsNoPicture() throws {
        let folder = try TestFolder()
        try folder.write("text", to: "a.png")
        try folder.write("", to: "b.jpg")
        try folder.write("version https://git-lfs.github.com/spec/v1\noid sha256:11\n", to: "c.png")
        #expect(errorText { _ = try Picture.read(folder.file("c.png")) }?.contains("c.png: a pointer of git-lfs") == true)
        #expect(errorText { _ = try Picture.read(folder.file("a.png")) }?.contains("a.png: neither PNG, JPEG, WebP nor BMP") == true)
        #expect(errorText { _ = try Picture.read(folder.file("b.jpg")) }?.contains("b.jpg: empty") == true)
        #expect(errorText { _ = try Picture.read(folder.path) }?.contains("not a regular file") == true)
    }
}
