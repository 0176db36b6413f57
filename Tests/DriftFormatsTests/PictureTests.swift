import Testing
@testable import DriftFormats

@Suite struct PictureTests {
    @Test func bytes() {
        #expect(Picture.byte(-1) == 0)
        #expect(Picture.byte(1) == 255)
        #expect(Picture.byte(0) == 128)
        #expect(Picture.byte(-7) == 0)
        #expect(Picture.byte(.infinity) == 255)
        #expect(Picture.byte(.nan) == 0)
        #expect(Picture.byte(0.9999999) == 255)
    }

    @Test func imageRoundTrip() throws {
        let pixels = (0..<24).map { UInt8($0 * 10) }
        let picture = try Picture(width: 4, height: 2, channels: 3, pixels: pixels)
        #expect(try Picture(image: picture.image, channels: 3, height: 2, width: 4) == picture)
    }

    @Test func grid() throws {
        // Three 1x2 images in two columns, scale 2, margin 1: 2 x 3 cells.
        let picture = try Picture(grid: [-1, 1, 1, -1, -1, -1], shape: [3, 1, 1, 2], columns: 2, scale: 2, margin: 1)
        #expect(picture.width == 11)
        #expect(picture.height == 7)
        let m: UInt8 = 64
        let first: [UInt8] = [m, 0, 0, 255, 255, m, 255, 255, 0, 0, m]
        let second: [UInt8] = [m, 0, 0, 0, 0, m, m, m, m, m, m]
        let line = [UInt8](repeating: m, count: 11)
        #expect(picture.pixels == line + first + first + line + second + second + line)
    }

    @Test func colorGrid() throws {
        let picture = try Picture(grid: [1, -1, -1, 1, 0, 0], shape: [1, 3, 1, 2], margin: 0)
        #expect(picture.pixels == [255, 0, 128, 0, 255, 128])
    }

    @Test func refuses() {
        #expect(throws: DataError.self) { _ = try Picture(grid: [1, 2], shape: [1, 2, 1, 1]) }
        #expect(throws: DataError.self) { _ = try Picture(grid: [1, 2], shape: [1, 1, 1, 1]) }
        #expect(throws: DataError.self) { _ = try Picture(grid: [], shape: [0, 1, 1, 1]) }
        #expect(throws: DataError.self) { _ = try Picture(grid: [1], shape: [1, 1, 1, 1], scale: 0) }
        #expect(throws: DataError.self) { _ = try Picture(grid: [1], shape: [1, 1, 1, 1], columns: 0) }
        #expect(throws: DataError.self) { _ = try Picture(width: 2, height: 2, channels: 2, pixels: [0, 0, 0, 0, 0, 0, 0, 0]) }
        #expect(throws: DataError.self) { _ = try Picture(width: .max, height: 2, channels: 1, pixels: []) }
    }
}
