import DriftFormats
import DriftReport

/// Entropy maps over images: for each label the grid of tokens in colours, the same over a sample, and samples.
struct EntropyMaps: Figure {
    struct Row: Sendable {
        let name: String
        /// [R], rows of the grid first.
        let entropy: [Double]
        let samples: [Picture]
    }

    let title: String
    let rows: [Row]
    /// Tokens in a row of the grid.
    let columns: Int

    private static let cell = 72.0
    private static let gap = 6.0
    private static let margin = 16.0

    /// Without E_1, which is 0 by definition.
    private var colors: ValueColors { ValueColors(rows.flatMap { $0.entropy.dropFirst() }) }

    func drawing() throws -> SVG {
        let (cell, gap, margin, size) = (Self.cell, Self.gap, Self.margin, Plot.Layout.textSize)
        let shown = rows.map(\.samples.count).max() ?? 0
        let nameWidth = (rows.map { SVG.width($0.name, size: size) }.max() ?? 0) + 10
        let blockWidth = nameWidth + Double(2 + shown) * cell + Double(1 + shown) * gap
        let blocks = rows.count > 3 && blockWidth < 520 ? 2 : 1
        let lines = (rows.count + blocks - 1) / blocks
        let between = 30.0
        let barWidth = 70.0
        let head = margin + 54
        let (colors, barHeight) = (colors, ValueColors.scaleHeight(rows: rows.count, cell: cell))
        let width = max(
            2 * margin + Double(blocks) * blockWidth + Double(blocks - 1) * between + barWidth,
            2 * margin + SVG.width(title, size: Plot.Layout.titleSize))
        // The scale of the colours may be higher than a single line.
        let height = head + max(Double(lines) * (cell + gap), barHeight + 8) + margin
        var svg = SVG(width: width, height: height, label: title)
        svg.text(title, at: SVG.Point(margin, margin + Plot.Layout.titleSize * 0.72), class: "title")
        for (index, row) in rows.enumerated() {
            let left = margin + Double(index / lines) * (blockWidth + between)
            let top = head + Double(index % lines) * (cell + gap)
            if index % lines == 0 {
                for (column, text) in ["entropy", "on sample", "samples"].enumerated() where column < 2 || shown > 0 {
                    svg.text(text, at: SVG.Point(left + nameWidth + Double(column) * (cell + gap), head - 8))
                }
            }
            svg.text(
                row.name, at: SVG.Point(left + nameWidth - 10, top + cell / 2 + size * Plot.Layout.halfCapital), class: "name",
                anchor: .end)
            func place(_ column: Int) -> SVG.Rect {
                let x = left + nameWidth + Double(column) * (cell + gap)
                return SVG.Rect(x, top, x + cell, top + cell)
            }
            let map = try map(row.entropy, colors)
            try draw(map, on: &svg, in: place(0), opacity: 1)
            if let sample = row.samples.first {
                try svg.draw(sample, in: place(1).fitting(sample))
                try draw(map, on: &svg, in: place(1).fitting(sample), opacity: 0.55)
            }
            for (number, sample) in row.samples.enumerated() { try svg.draw(sample, in: place(2 + number).fitting(sample)) }
        }
        try colors.drawScale("E", on: &svg, at: width - margin - barWidth + 24, head, height: barHeight)
        return svg
    }

    /// A pixel for each token, in the colour of its entropy.
    private func map(_ entropy: [Double], _ colors: ValueColors) throws -> Picture {
        let columns = max(1, min(columns, entropy.count))
        let lines = max(1, entropy.count / columns)
        let pixels = (0..<(lines * columns)).flatMap { colors.color($0 < entropy.count ? entropy[$0] : .nan).bytes }
        return try Picture(width: columns, height: lines, channels: 3, pixels: pixels)
    }

    /// Position 1, which has no entropy, is struck out.
    private func draw(_ map: Picture, on svg: inout SVG, in rect: SVG.Rect, opacity: Double) throws {
        try svg.draw(map, in: rect, opacity: opacity)
        let first = SVG.Rect(
            rect.left, rect.top, rect.left + rect.width / Double(map.width), rect.top + rect.height / Double(map.height))
        svg.fill(first, class: "missing", opacity: opacity)
        svg.line(SVG.Point(first.left, first.bottom), SVG.Point(first.right, first.top), class: "strike", width: 1.2)
    }
}
