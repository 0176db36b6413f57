import DriftFormats
import DriftReport

/// Values as colours on pictures, and the scale that says which is which.
struct ValueColors: Sendable {
    /// What the colours span.
    let low: Double
    let high: Double

    /// Colours that span what occurs; numbers that are not finite do not count.
    init(_ values: [Double]) {
        let finite = values.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
        (self.low, self.high) = high - low > 1e-6 ? (low, high) : (low - 5e-7, low + 5e-7)
    }

    func color(_ value: Double) -> Color { ColorMap.color((value - low) / (high - low)) }

    /// The largest height of a scale beside so many rows of cells.
    static func scaleHeight(rows: Int, cell: Double) -> Double { min(Double(max(1, rows)) * cell, 190) }

    /// Draws the scale of the colours, the highest above, under the name of what they mean.
    func drawScale(_ name: String, on svg: inout SVG, at left: Double, _ top: Double, height: Double) throws {
        let steps = 128
        let colors = (0..<steps).flatMap { ColorMap.color(1 - (Double($0) + 0.5) / Double(steps)).bytes }
        try svg.draw(
            Picture(width: 1, height: steps, channels: 3, pixels: colors), in: SVG.Rect(left, top, left + 11, top + height))
        svg.text(name, at: SVG.Point(left, top - 8))
        let ticks = Ticks.linear(low, high, count: 4)
        for (value, label) in zip(ticks.values, ticks.labels) {
            let y = top + height * (1 - (value - low) / (high - low))
            svg.line(SVG.Point(left + 11, y), SVG.Point(left + 15, y), class: "axis")
            svg.text(label, at: SVG.Point(left + 18, y + Plot.Layout.textSize * Plot.Layout.halfCapital))
        }
    }
}

extension SVG.Rect {
    /// The largest part of it that has the proportions of the picture.
    func fitting(_ picture: Picture) -> SVG.Rect {
        let (width, height) = (Double(picture.width), Double(picture.height))
        let scale = min(self.width / width, self.height / height)
        let (x, y) = (left + (self.width - width * scale) / 2, top + (self.height - height * scale) / 2)
        return SVG.Rect(x, y, x + width * scale, y + height * scale)
    }
}
