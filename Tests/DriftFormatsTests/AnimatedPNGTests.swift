import Testing

@testable import DriftFormats

@Suite struct AnimatedPNGTests {
    private static let palette: [AnimatedPNG.Colour] =
        [.init(0, 0, 0, 0), .init(255, 255, 255, 255)] + (1...20).map { .init(UInt8(10 * $0), 40, 200, 255) }

    private static func animation() -> AnimatedPNG {
        var animation = AnimatedPNG(
            width: 3, height: 2, palette: palette, base: [1, 1, 2, 3, 4, 5], milliseconds: 700)
        animation.overlays = [
            .init(pixels: [0, 0, 9, 0, 0, 0], milliseconds: 80), .init(pixels: [0, 10, 0, 0, 0, 11], milliseconds: 2500),
        ]
        return animation
    }

    private func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    @Test func chunksFollowTheirOrder() throws {
        let chunks = try PNG.chunks(Self.animation().encode())
        let kinds = chunks.map(\.kind).filter { ["IHDR", "acTL", "PLTE", "tRNS", "IDAT", "fcTL", "fdAT", "IEND"].contains($0) }
        #expect(kinds == ["IHDR", "acTL", "PLTE", "tRNS", "IDAT", "fcTL", "fdAT", "fcTL", "fdAT", "fcTL", "fdAT", "IEND"])
        let frames = try #require(chunks.first { $0.kind == "acTL" })
        #expect(number(frames.body.prefix(4)) == 3)
        let sequence = chunks.filter { $0.kind == "fcTL" || $0.kind == "fdAT" }.map { number($0.body.prefix(4)) }
        #expect(sequence == Array(0..<6))
        let controls = chunks.filter { $0.kind == "fcTL" }.map { Array($0.body) }
        #expect(controls.allSatisfy { $0.count == 26 })
        #expect(controls.map { number($0[20..<22]) } == [700, 80, 2500])
        // The base stays; an overlay is blended and taken back.
        #expect(controls.map { [$0[24], $0[25]] } == [[0, 0], [2, 1], [2, 1]])
    }

    /// A frame's data are those of a picture of its own.
    @Test func framesDecode() throws {
        let animation = Self.animation()
        let chunks = try PNG.chunks(animation.encode())
        let head = chunks.filter { ["IHDR", "PLTE", "tRNS"].contains($0.kind) }.flatMap { PNG.chunk($0.kind, $0.body) }
        let pictures = try chunks.filter { $0.kind == "fdAT" }.map { frame in
            try PNG.decode(PNG.signature + head + PNG.chunk("IDAT", frame.body.dropFirst(4)) + PNG.chunk("IEND", []))
        }
        // Transparency is read as white.
        for (picture, indices) in zip(pictures, [animation.base] + animation.overlays.map(\.pixels)) {
            let colours = indices.map { Self.palette[$0 == 0 ? 1 : Int($0)] }
            #expect(picture.pixels == colours.flatMap { [$0.red, $0.green, $0.blue] })
        }
    }

    /// Viewers without animation show the last overlay on the base.
    @Test func stillIsTheEnd() throws {
        let picture = try PNG.decode(Self.animation().encode())
        let colours = [1, 10, 2, 3, 4, 11].map { Self.palette[$0] }
        #expect(picture.pixels == colours.flatMap { [$0.red, $0.green, $0.blue] })
    }

    @Test func wrongSizesAndColoursAreErrors() throws {
        var short = Self.animation()
        short.overlays.append(.init(pixels: [0, 0], milliseconds: 1))
        #expect(throws: DataError.self) { try short.encode() }
        var unknown = Self.animation()
        unknown.overlays.append(.init(pixels: [0, 0, 0, 0, 0, 99], milliseconds: 1))
        #expect(throws: DataError.self) { try unknown.encode() }
        let few = AnimatedPNG(width: 1, height: 1, palette: [.init(0, 0, 0, 255)], base: [0], milliseconds: 1)
        #expect(throws: DataError.self) { try few.encode() }
    }
}
