import Foundation

/// A place on a canvas, in points from the upper left.
struct CanvasPoint: Sendable, Equatable {
    var x: Double
    var y: Double

    init(_ x: Double, _ y: Double) { (self.x, self.y) = (x, y) }
}

/// An upright rectangle of a canvas, in points.
struct CanvasRect: Sendable, Equatable {
    var left: Double
    var top: Double
    var right: Double
    var bottom: Double

    init(_ left: Double, _ top: Double, _ right: Double, _ bottom: Double) {
        (self.left, self.top, self.right, self.bottom) = (left, top, right, bottom)
    }

    var width: Double { right - left }
    var height: Double { bottom - top }

    func intersection(_ other: CanvasRect) -> CanvasRect {
        CanvasRect(max(left, other.left), max(top, other.top), min(right, other.right), min(bottom, other.bottom))
    }
}

/// An sRGB colour of three parts in [0, 1].
struct Color: Sendable, Equatable {
    var red: Float
    var green: Float
    var blue: Float

    /// For example 0x0072B2.
    init(_ hex: UInt32) {
        (red, green, blue) = (Float(hex >> 16 & 255) / 255, Float(hex >> 8 & 255) / 255, Float(hex & 255) / 255)
    }

    init(_ red: Float, _ green: Float, _ blue: Float) { (self.red, self.green, self.blue) = (red, green, blue) }

    func mixed(with other: Color, _ share: Float) -> Color {
        Color(
            red + (other.red - red) * share, green + (other.green - green) * share, blue + (other.blue - blue) * share)
    }
}

/// A surface for antialiased drawing. Lengths are in points; `scale` pixels make a point. What is not finite is not drawn.
struct Canvas {
    let width: Int
    let height: Int
    let scale: Double
    /// Nothing outside of it is painted.
    var clip: CanvasRect
    /// [height, width, 3], sRGB.
    private var pixels: [Float]

    init(width: Double, height: Double, scale: Double = 2, background: Color) {
        self.scale = scale
        self.width = max(1, Int(min(width * scale, 16384).rounded(.up)))
        self.height = max(1, Int(min(height * scale, 16384).rounded(.up)))
        clip = CanvasRect(0, 0, Double(self.width) / scale, Double(self.height) / scale)
        pixels = [Float](repeating: background.red, count: self.width * self.height * 3)
        for place in stride(from: 0, to: pixels.count, by: 3) {
            (pixels[place + 1], pixels[place + 2]) = (background.green, background.blue)
        }
    }

    /// What was drawn, in eight bits.
    func picture() throws -> Picture {
        try Picture(
            width: width, height: height, channels: 3, pixels: pixels.map { UInt8(min(max($0, 0), 1) * 255 + 0.5) })
    }

    /// Fills a rectangle; edges between pixels are blended.
    mutating func fill(_ rect: CanvasRect, _ color: Color, alpha: Float = 1) {
        let area = rect.intersection(clip)
        guard area.width > 0, area.height > 0 else { return }
        let (left, right) = (area.left * scale, area.right * scale)
        let (top, bottom) = (area.top * scale, area.bottom * scale)
        for y in Int(top)..<min(height, Int(bottom.rounded(.up))) {
            let rows = min(Double(y + 1), bottom) - max(Double(y), top)
            for x in Int(left)..<min(width, Int(right.rounded(.up))) {
                let columns = min(Double(x + 1), right) - max(Double(x), left)
                blend(x, y, color, alpha * Float(rows * columns))
            }
        }
    }

    mutating func disc(_ center: CanvasPoint, radius: Double, _ color: Color, alpha: Float = 1) {
        stroke([center, center], width: 2 * radius, color, alpha: alpha)
    }

    /// A line with round ends and joints through the points. Where it crosses itself it is no darker. `dash`: lengths of
    /// stroke and gap.
    mutating func stroke(
        _ path: [CanvasPoint], width lineWidth: Double, _ color: Color, alpha: Float = 1, dash: (on: Double, off: Double)? = nil
    ) {
        let pieces = dash.map { Self.dashes(path, on: $0.on, off: $0.off) } ?? [path]
        stroke(pieces, width: lineWidth, color, alpha: alpha)
    }

    /// Several lines as one shape.
    mutating func stroke(_ paths: [[CanvasPoint]], width lineWidth: Double, _ color: Color, alpha: Float = 1) {
        // A hair thinner than a pixel is drawn as wide as one, but fainter.
        let radius = max(lineWidth * scale, 1) / 2
        let strength = Float(min(1, lineWidth * scale)) * alpha
        var segments: [(a: CanvasPoint, b: CanvasPoint)] = []
        for path in paths {
            let points = path.map { CanvasPoint($0.x * scale, $0.y * scale) }
            for (a, b) in zip(points, points.dropFirst()) where a.x.isFinite && a.y.isFinite && b.x.isFinite && b.y.isFinite {
                segments.append((a, b))
            }
        }
        let bounds = CanvasRect(clip.left * scale, clip.top * scale, clip.right * scale, clip.bottom * scale)
        let pad = radius + 1
        var box = CanvasRect(.infinity, .infinity, -.infinity, -.infinity)
        for (a, b) in segments {
            box.left = min(box.left, a.x - pad, b.x - pad)
            box.right = max(box.right, a.x + pad, b.x + pad)
            box.top = min(box.top, a.y - pad, b.y - pad)
            box.bottom = max(box.bottom, a.y + pad, b.y + pad)
        }
        box = box.intersection(bounds)
        guard box.width > 0, box.height > 0 else { return }
        let (x0, y0) = (Int(box.left), Int(box.top))
        let (columns, rows) = (min(width, Int(box.right.rounded(.up))) - x0, min(height, Int(box.bottom.rounded(.up))) - y0)
        guard columns > 0, rows > 0 else { return }
        var mask = [Float](repeating: 0, count: columns * rows)
        for (a, b) in segments {
            Self.cover(&mask, columns: columns, rows: rows, x0: x0, y0: y0, a, b, radius: radius)
        }
        for y in 0..<rows {
            for x in 0..<columns where mask[y * columns + x] > 0 {
                let (centerX, centerY) = (Double(x0 + x) + 0.5, Double(y0 + y) + 0.5)
                guard centerX >= bounds.left, centerX <= bounds.right, centerY >= bounds.top, centerY <= bounds.bottom else { continue }
                blend(x0 + x, y0 + y, color, strength * mask[y * columns + x])
            }
        }
    }

    /// The area between two lines over the same x.
    mutating func fill(between upper: [CanvasPoint], and lower: [CanvasPoint], _ color: Color, alpha: Float) {
        for index in 0..<max(0, min(upper.count, lower.count) - 1) {
            let (left, right) = (upper[index].x, upper[index + 1].x)
            let corners = [upper[index].y, upper[index + 1].y, lower[index].y, lower[index + 1].y]
            guard left.isFinite, right.isFinite, left < right, corners.allSatisfy(\.isFinite) else { continue }
            // Columns of pixels, the first and last of a piece as wide as its part of them.
            let ends = CanvasRect(left, clip.top, right, clip.bottom).intersection(clip)
            guard ends.width > 0 else { continue }
            for column in Int(ends.left * scale)...Int(ends.right * scale) {
                let (from, to) = (max(ends.left, Double(column) / scale), min(ends.right, Double(column + 1) / scale))
                guard from < to else { continue }
                let t = ((from + to) / 2 - left) / (right - left)
                let (a, b) = (corners[0] + (corners[1] - corners[0]) * t, corners[2] + (corners[3] - corners[2]) * t)
                fill(CanvasRect(from, min(a, b), to, max(a, b)), color, alpha: alpha)
            }
        }
    }

    /// Draws a picture into `rect`, each of its pixels as a block.
    mutating func draw(_ picture: Picture, in rect: CanvasRect, alpha: Float = 1) {
        guard rect.width > 0, rect.height > 0 else { return }
        let area = rect.intersection(clip)
        guard area.width > 0, area.height > 0 else { return }
        for y in Int((area.top * scale).rounded())..<min(height, Int((area.bottom * scale).rounded())) {
            for x in Int((area.left * scale).rounded())..<min(width, Int((area.right * scale).rounded())) {
                let u = ((Double(x) + 0.5) / scale - rect.left) / rect.width * Double(picture.width)
                let v = ((Double(y) + 0.5) / scale - rect.top) / rect.height * Double(picture.height)
                let column = min(max(Int(u), 0), picture.width - 1)
                let row = min(max(Int(v), 0), picture.height - 1)
                let place = (row * picture.width + column) * picture.channels
                let part = { (channel: Int) in
                    Float(picture.pixels[place + (picture.channels == 3 ? channel : 0)]) / 255
                }
                blend(x, y, Color(part(0), part(1), part(2)), alpha)
            }
        }
    }

    // MARK: Pixels

    private mutating func blend(_ x: Int, _ y: Int, _ color: Color, _ alpha: Float) {
        let place = (y * width + x) * 3
        pixels[place] += (color.red - pixels[place]) * alpha
        pixels[place + 1] += (color.green - pixels[place + 1]) * alpha
        pixels[place + 2] += (color.blue - pixels[place + 2]) * alpha
    }

    /// Raises the mask to the part of each pixel that a segment of that radius covers.
    private static func cover(
        _ mask: inout [Float], columns: Int, rows: Int, x0: Int, y0: Int, _ a: CanvasPoint, _ b: CanvasPoint, radius: Double
    ) {
        let pad = radius + 1
        func range(_ low: Double, _ high: Double, _ origin: Int, _ count: Int) -> Range<Int> {
            let first = min(max(low - Double(origin), 0), Double(count))
            let last = min(max((high - Double(origin)).rounded(.up), 0), Double(count))
            return Int(first)..<max(Int(first), Int(last))
        }
        let (dx, dy) = (b.x - a.x, b.y - a.y)
        let square = dx * dx + dy * dy
        let xs = range(min(a.x, b.x) - pad, max(a.x, b.x) + pad, x0, columns)
        for row in range(min(a.y, b.y) - pad, max(a.y, b.y) + pad, y0, rows) {
            let py = Double(y0 + row) + 0.5 - a.y
            for column in xs {
                let px = Double(x0 + column) + 0.5 - a.x
                let t = square > 0 ? min(max((px * dx + py * dy) / square, 0), 1) : 0
                let (ex, ey) = (px - t * dx, py - t * dy)
                let covered = Float(min(max(radius + 0.5 - (ex * ex + ey * ey).squareRoot(), 0), 1))
                let place = row * columns + column
                if covered > mask[place] { mask[place] = covered }
            }
        }
    }

    private static func dashes(_ path: [CanvasPoint], on: Double, off: Double) -> [[CanvasPoint]] {
        guard on > 0, off > 0 else { return [path] }
        var pieces: [[CanvasPoint]] = []
        var travelled = 0.0
        for (a, b) in zip(path, path.dropFirst()) {
            let length = ((b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y)).squareRoot()
            guard length > 0, length.isFinite, length < 1e5 else { continue }
            var done = 0.0
            while done < length {
                let phase = travelled.truncatingRemainder(dividingBy: on + off)
                let step = min(length - done, max(phase < on ? on - phase : on + off - phase, 1e-6))
                if phase < on {
                    pieces.append([done, done + step].map {
                        CanvasPoint(a.x + (b.x - a.x) * $0 / length, a.y + (b.y - a.y) * $0 / length)
                    })
                }
                done += step
                travelled += step
            }
        }
        return pieces
    }
}
