/// The plots' lettering: strokes along lines and quarter ellipses, so that pictures look the same on every machine, those
/// without fonts included.
enum StrokeFont {
    /// A glyph in units of a tenth of the height of capitals, y upwards from the base line.
    struct Glyph: Sendable {
        let width: Double
        let strokes: [[CanvasPoint]]
    }

    /// Points in a unit for text of a size.
    private static func unit(_ size: Double) -> Double { size * 0.07 }
    /// Between the strokes of neighbours.
    private static let gap = 2.7

    /// Height of capitals.
    static func capHeight(_ size: Double) -> Double { 10 * unit(size) }

    /// From the left edge of the first stroke to the right edge of the last.
    static func width(_ text: String, size: Double) -> Double {
        let glyphs = text.map(glyph)
        return unit(size) * (glyphs.reduce(0) { $0 + $1.width } + gap * Double(max(0, glyphs.count - 1)))
    }

    /// The strokes of a text whose base line begins at `origin`.
    static func strokes(_ text: String, size: Double, at origin: CanvasPoint) -> [[CanvasPoint]] {
        let unit = unit(size)
        var x = origin.x
        var result: [[CanvasPoint]] = []
        for character in text {
            let glyph = glyph(character)
            for stroke in glyph.strokes {
                result.append(stroke.map { CanvasPoint(x + $0.x * unit, origin.y - $0.y * unit) })
            }
            x += (glyph.width + gap) * unit
        }
        return result
    }

    /// The glyph of a character; an empty box where there is none.
    static func glyph(_ character: Character) -> Glyph { glyphs[character] ?? box }

    static func has(_ character: Character) -> Bool { glyphs[character] != nil }

    private static let box = outline("5 M 0 0 L 0 10 L 5 10 L 5 0 L 0 0")
    private static let glyphs = StrokeOutlines.table.mapValues(outline)

    /// Reads `width`, then `M x y` (move), `L x y` (line) and `A cx cy x y` (quarter ellipse to x y whose corner is cx cy).
    private static func outline(_ text: String) -> Glyph {
        let words = text.split(separator: " ")
        var numbers: [Double] = []
        var strokes: [[CanvasPoint]] = []
        var kind: Substring = "M"
        for word in words.dropFirst() {
            guard let number = Double(word) else {
                (kind, numbers) = (word, [])
                continue
            }
            numbers.append(number)
            if kind == "M", numbers.count == 2 {
                strokes.append([CanvasPoint(numbers[0], numbers[1])])
            } else if kind == "L", numbers.count == 2, !strokes.isEmpty {
                strokes[strokes.count - 1].append(CanvasPoint(numbers[0], numbers[1]))
            } else if kind == "A", numbers.count == 4, let start = strokes.last?.last {
                let (corner, end) = (CanvasPoint(numbers[0], numbers[1]), CanvasPoint(numbers[2], numbers[3]))
                strokes[strokes.count - 1] += arc(start, corner, end)
            }
        }
        return Glyph(width: words.first.flatMap { Double($0) } ?? 0, strokes: strokes.map { $0.count == 1 ? $0 + $0 : $0 })
    }

    /// A cubic Bezier curve that is a quarter ellipse to within 0.03 %.
    private static func arc(_ start: CanvasPoint, _ corner: CanvasPoint, _ end: CanvasPoint) -> [CanvasPoint] {
        let kappa = 0.5523
        let steps = 8
        return (1...steps).map { step in
            let t = Double(step) / Double(steps)
            let s = 1 - t
            func part(_ a: Double, _ c: Double, _ b: Double) -> Double {
                let (first, second) = (a + (c - a) * kappa, b + (c - b) * kappa)
                return s * s * s * a + 3 * s * s * t * first + 3 * s * t * t * second + t * t * t * b
            }
            return CanvasPoint(part(start.x, corner.x, end.x), part(start.y, corner.y, end.y))
        }
    }
}

/// Where a text stands relative to its point.
enum TextAlignment: Sendable { case left, center, right }

extension Canvas {
    /// A line of text on its base line. `weight` is the width of the strokes relative to the usual one.
    mutating func text(
        _ text: String, at point: CanvasPoint, size: Double, _ color: Color, align: TextAlignment = .left, weight: Double = 1
    ) {
        let width = StrokeFont.width(text, size: size)
        let left = align == .left ? point.x : align == .center ? point.x - width / 2 : point.x - width
        let strokes = StrokeFont.strokes(text, size: size, at: CanvasPoint(left, point.y))
        stroke(strokes, width: size * 0.088 * weight, color)
    }
}
