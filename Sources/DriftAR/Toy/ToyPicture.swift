import DriftFormats

/// Pictures of a toy run: a panel for each start, real points in gray behind generated ones in colour.
public struct ToyPicture: Sendable {
    /// Pixels of a panel's side.
    let side: Int
    private let margin = 8
    private let background: [Float]

    /// A panel's colours, from the left.
    private static let colours: [(Float, Float, Float)] = [(214, 69, 65), (31, 119, 180), (126, 74, 178)]
    private static let paper: (Float, Float, Float) = (250, 250, 248)
    private static let ink: (Float, Float, Float) = (150, 154, 160)
    private static let levels = 12

    /// `real`: points of the data, x and y one after the other.
    public init(real: [Float], side: Int = 216) {
        self.side = side
        var canvas = PointCanvas(side: side)
        canvas.draw(real, radius: 1.1, opacity: 0.45)
        background = canvas.coverage
    }

    private func canvas(_ points: [Float]) -> PointCanvas {
        var canvas = PointCanvas(side: side)
        canvas.draw(points, radius: 1.3, opacity: 0.85)
        return canvas
    }

    private static func mix(_ a: (Float, Float, Float), _ b: (Float, Float, Float), _ part: Float) -> (Float, Float, Float) {
        (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part, a.2 + (b.2 - a.2) * part)
    }

    /// The moments below each other as columns, a row for each start.
    public func strip(_ moments: [ToyRun.Moment]) throws -> Picture {
        let cell = side + margin
        let (width, height) = (moments.count * cell + margin, ToyRun.starts.count * cell + margin)
        var pixels = [UInt8](repeating: 255, count: width * height * 3)
        for (column, moment) in moments.enumerated() {
            for (row, points) in moment.points.enumerated() {
                let drawn = canvas(points)
                for y in 0..<side {
                    for x in 0..<side {
                        let behind = Self.mix(Self.paper, Self.ink, background[y * side + x])
                        let colour = Self.mix(behind, Self.colours[row], drawn.coverage[y * side + x])
                        let at = ((margin + row * cell + y) * width + margin + column * cell + x) * 3
                        for (channel, value) in [colour.0, colour.1, colour.2].enumerated() {
                            pixels[at + channel] = UInt8(value.rounded())
                        }
                    }
                }
            }
        }
        return try Picture(width: width, height: height, channels: 3, pixels: pixels)
    }

    /// The panels side by side, moving: the data alone, then a frame for each moment, the last one longer.
    public func animation(_ moments: [ToyRun.Moment], milliseconds: Int = 80) throws -> AnimatedPNG {
        let cell = side + margin
        let (width, height) = (ToyRun.starts.count * cell + margin, side + 2 * margin)
        // 0: nothing drawn. Then white, the data's levels, and levels of opacity of each colour.
        var palette = [AnimatedPNG.Colour(0, 0, 0, 0), AnimatedPNG.Colour(255, 255, 255, 255)]
        for level in 0...Self.levels {
            let colour = Self.mix(Self.paper, Self.ink, Float(level) / Float(Self.levels))
            palette.append(AnimatedPNG.Colour(UInt8(colour.0), UInt8(colour.1), UInt8(colour.2), 255))
        }
        let firstColour = palette.count
        for colour in Self.colours {
            for level in 1...Self.levels {
                palette.append(
                    AnimatedPNG.Colour(
                        UInt8(colour.0), UInt8(colour.1), UInt8(colour.2), UInt8(255 * level / Self.levels)))
            }
        }
        func frame(outside: UInt8, _ index: (_ panel: Int, _ at: Int) -> UInt8) -> [UInt8] {
            var pixels = [UInt8](repeating: outside, count: width * height)
            for panel in 0..<ToyRun.starts.count {
                for y in 0..<side {
                    let line = (margin + y) * width + margin + panel * cell
                    for x in 0..<side { pixels[line + x] = index(panel, y * side + x) }
                }
            }
            return pixels
        }
        let data = frame(outside: 1) { _, at in UInt8(2 + Int((background[at] * Float(Self.levels)).rounded())) }
        var animation = AnimatedPNG(width: width, height: height, palette: palette, base: data, milliseconds: 700)
        for (index, moment) in moments.enumerated() {
            let drawn = moment.points.map { canvas($0).coverage }
            let isEnd = index == 0 || index == moments.count - 1
            animation.overlays.append(
                AnimatedPNG.Overlay(
                    pixels: frame(outside: 0) { panel, at in
                        let level = Int((drawn[panel][at] * Float(Self.levels)).rounded())
                        return level == 0 ? 0 : UInt8(firstColour + panel * Self.levels + level - 1)
                    }, milliseconds: isEnd ? (index == 0 ? 700 : 2500) : milliseconds))
        }
        return animation
    }
}
