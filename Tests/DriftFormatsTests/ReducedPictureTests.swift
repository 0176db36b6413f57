import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

/// JPEG files that are halved while they are decoded.
@Suite struct ReducedPictureTests {
    private static let files = ["rgb.jpg", "gray.jpg", "progressive.jpg", "cmyk.jpg"]

    private func read(_ name: String, _ halvings: Int) throws -> ReducedPicture {
        try ReducedPicture.read(ImageFixtures.path(name)) { _, _ in halvings }
    }

    @Test("the same as Image.draft of Pillow, odd sizes too", arguments: files, [1, 2, 3])
    func expected(_ name: String, halvings: Int) throws {
        let expected = try ImageFixtures.picture("\(name.split(separator: ".")[0]).reduced-\(1 << halvings).png")
        let difference = ImageFixtures.difference(try read(name, halvings).picture, expected)
        // Versions of libjpeg may round differently.
        #expect(difference.map { $0 <= 1 } == true, "\(difference.map(String.init) ?? "another shape")")
    }

    @Test("within 4 of the mean of the pixels they stand for, where colours are not stored at half the size", arguments: [
        "gray.jpg", "cmyk.jpg", "smooth.jpg",
    ], [1, 2, 3]) func means(_ name: String, halvings: Int) throws {
        let (whole, reduced) = (try ImageFixtures.picture(name), try read(name, halvings).picture)
        let side = 1 << halvings
        // Beyond the edge there are pixels of which nobody knows.
        for y in 0..<whole.height / side {
            for x in 0..<whole.width / side {
                for c in 0..<whole.channels {
                    var sum = 0
                    for i in 0..<side * side {
                        let place = (y * side + i / side) * whole.width + x * side + i % side
                        sum += Int(whole.pixels[place * whole.channels + c])
                    }
                    let value = Double(reduced.pixels[(y * reduced.width + x) * whole.channels + c])
                    #expect(abs(value - Double(sum) / Double(side * side)) <= 4, "\(x) \(y) \(c)")
                }
            }
        }
    }

    @Test("the size asked about is the picture's, the extent a part of it, and an eighth is the least")
    func sizes() throws {
        var asked: [[Int]] = []
        func extent(_ halvings: Int) throws -> [Double] {
            let reduced = try ReducedPicture.read(ImageFixtures.path("rgb.jpg")) {
                asked.append([$0, $1])
                return halvings
            }
            return [reduced.width, reduced.height, Double(reduced.picture.width), Double(reduced.picture.height)]
        }
        #expect(try extent(0) == [37, 29, 37, 29] && extent(1) == [18.5, 14.5, 19, 15])
        #expect(try extent(3) == [4.625, 3.625, 5, 4] && extent(9) == extent(3) && extent(-1) == extent(0))
        #expect(Set(asked) == [[37, 29]])
        // Other formats are read as they are.
        let other = try ReducedPicture.read(ImageFixtures.path("photo.png")) { _, _ in 2 }
        #expect(try other.picture == ImageFixtures.picture("photo.png") && (other.width, other.height) == (83, 61))
    }

    @Test("an extent that ends inside of a pixel is resized as such: a ramp keeps its slope")
    func extents() throws {
        let ramp = try Picture(width: 5, height: 1, channels: 1, pixels: [5, 45, 85, 125, 165])
        let resized = try ReducedPicture(ramp, width: 4.5, height: 1).resized(
            to: (9, 1), x: 0..<9, y: 0..<1, filter: .bicubic)
        // The pixel i stands for the place (i + 1/2) / 2, where the ramp has 40 (i + 1/2) / 2 - 15. These reach no end of it.
        for i in 3..<6 { #expect(abs(Int(resized.pixels[i]) - (20 * i - 5)) <= 1, "\(i): \(resized.pixels[i])") }
    }

    @Test("brought to a size, files are within 3 of their full decoding", arguments: [16, 24, 32, 40])
    func transform(_ size: Int) throws {
        let transform = ImageTransform(channels: 3, height: size, width: size)
        // The crop is of an eighth more than the size.
        let crop = ImageVariant.CropDraw(size: 1 << 31, y: 1 << 30, x: 3 << 30)
        for (variant, largest) in [(ImageVariant.plain, 32), (ImageVariant(isFlipped: true, crop: crop), 28)] {
            let (file, whole) = try values(transform, "smooth.jpg", variant)
            #expect(try file == values(transform, "smooth.jpg", variant).file, "the same each time")
            let most = zip(file, whole).map { abs($0 - $1) * 127.5 }.max() ?? .infinity
            #expect(most < 3.01, "\(most)")
            #expect((most > 0) == (size <= largest), "up to half of its 64 rows the decoder halves")
        }
    }

    @Test("pictures that are not twice as large as the target are decoded in full", arguments: files + ["rotated.jpg"])
    func notReduced(_ name: String) throws {
        let picture = try ImageFixtures.picture(name)
        for size in [(picture.height + 2) / 2, picture.height, 64] {
            let transform = ImageTransform(channels: 3, height: size, width: size)
            let (file, whole) = try values(transform, name, .plain)
            #expect(file == whole, "\(size)")
        }
    }

    @Test("reading whole pictures knows nothing of it", arguments: files)
    func whole(_ name: String) throws {
        let bytes = try Files.read(ImageFixtures.path(name))
        #expect(try Picture.decode(bytes) == ReducedPicture.read(ImageFixtures.path(name)) { _, _ in 0 }.picture)
    }

    @Test("damaged files are errors or pictures, never a crash", arguments: files, [1, 3])
    func survivesDamage(_ name: String, halvings: Int) throws {
        let bytes = try Files.read(ImageFixtures.path(name))
        for length in stride(from: 0, to: bytes.count - 4, by: 7) {
            #expect(throws: DataError.self, "cut at \(length)") { _ = try JPEG.decode(Array(bytes[..<length])) { _, _ in halvings } }
        }
        var random = TestNumbers(17)
        for _ in 0..<1000 {
            var damaged = bytes
            for _ in 0...random.below(4) { damaged[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            do { _ = try JPEG.decode(damaged) { _, _ in halvings } } catch { #expect(error is DataError) }
        }
    }

    /// The image of a file as training reads it, and that of the picture decoded in full.
    private func values(
        _ transform: ImageTransform, _ name: String, _ variant: ImageVariant
    ) throws -> (file: [Float], whole: [Float]) {
        var (file, whole) = ([UInt8](repeating: 0, count: transform.valueCount), [UInt8](repeating: 0, count: transform.valueCount))
        try file.withUnsafeMutableBytes { try transform.write(file: ImageFixtures.path(name), variant, to: $0) }
        try whole.withUnsafeMutableBytes { try transform.write(ImageFixtures.picture(name), variant, to: $0) }
        return (file.map(Picture.value), whole.map(Picture.value))
    }
}
