import DriftFormats
import DriftReport

/// Drawings round by round: the picture so far, and in place of the tokens that are still hidden the colours of their values.
struct RoundMaps: Figure {
    struct Row: Sendable {
        let name: String
        /// What each of the shown rounds finds; values [R], nil where a token is known.
        let rounds: [(picture: Picture, values: [Double?])]
        let result: Picture
    }

    let title: String
    /// Of the scale.
    let unit: String
    /// Of the columns before the last.
    let names: [String]
    let rows: [Row]
    /// Tokens in a row of the grid.
    let columns: Int

    private static let cell = 72.0
    private static let gap = 6.0
    private static let margin = 16.0

    private var colors: ValueColors { ValueColors(rows.flatMap { $0.rounds.flatMap { $0.values.compactMap(\.self) } }) }

    func drawing() throws -> SVG {
        let (cell, gap, margin, size) = (Self.cell, Self.gap, Self.margin, Plot.Layout.textSize)
        let nameWidth = (rows.map { SVG.width($0.name, size: size) }.max() ?? 0) + 10
        let (head, scaleWidth) = (margin + 54, 70.0)
        let (colors, scaleHeight) = (colors, ValueColors.scaleHeight(rows: rows.count, cell: cell))
        let width = max(
            2 * margin + nameWidth + Double(names.count + 1) * (cell + gap) + scaleWidth,
            2 * margin + SVG.width(title, size: Plot.Layout.titleSize))
        let height = head + max(Double(rows.count) * (cell + gap), scaleHeight + 8) + margin
        var svg = SVG(width: width, height: height, label: title)
        svg.text(title, at: SVG.Point(margin, margin + Plot.Layout.titleSize * 0.72), class: "title")
        func left(_ column: Int) -> Double { margin + nameWidth + Double(column) * (cell + gap) }
        for (column, name) in (names + ["result"]).enumerated() { svg.text(name, at: SVG.Point(left(column), head - 8)) }
        for (line, row) in rows.enumerated() {
            let top = head + Double(line) * (cell + gap)
            svg.text(
                row.name, at: SVG.Point(left(0) - 10, top + cell / 2 + size * Plot.Layout.halfCapital), class: "name", anchor: .end)
            let pictures = try row.rounds.map { try painted($0.picture, $0.values, colors) } + [row.result]
            for (column, picture) in pictures.enumerated() {
                try svg.draw(picture, in: SVG.Rect(left(column), top, left(column) + cell, top + cell).fitting(picture))
            }
        }
        try colors.drawScale(unit, on: &svg, at: width - margin - scaleWidth + 24, head, height: scaleHeight)
        return svg
    }

    /// The picture with the tokens that have a value in its colour.
    private func painted(_ picture: Picture, _ values: [Double?], _ colors: ValueColors) throws -> Picture {
        let lines = max(1, (values.count + columns - 1) / columns)
        var pixels: [UInt8] = []
        pixels.reserveCapacity(3 * picture.width * picture.height)
        for y in 0..<picture.height {
            for x in 0..<picture.width {
                let token = y * lines / picture.height * columns + x * columns / picture.width
                if token < values.count, let value = values[token] {
                    pixels += colors.color(value).bytes
                } else {
                    let place = (y * picture.width + x) * picture.channels
                    pixels += (0..<3).map { picture.pixels[place + $0 % picture.channels] }
                }
            }
        }
        return try Picture(width: picture.width, height: picture.height, channels: 3, pixels: pixels)
    }
}
