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

    /// What the colours span: the entropies without E_1, which is 0 by definition.
    var range: (low: Double, high: Double) {
        let values = rows.flatMap { $0.entropy.dropFirst() }.filter(\.isFinite)
        let (low, high) = (values.min() ?? 0, values.max() ?? 1)
        return high - low > 1e-6 ? (low, high) : (low - 5e-7, low + 5e-7)
    }

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
        let width = max(
            2 * margin + Double(blocks) * blockWidth + Double(blocks - 1) * between + barWidth,
            2 * margin + SVG.width(title, size: Plot.Layout.titleSize))
        // The scale of the colours may be higher than a single line.
        let height = head + max(Double(lines) * (cell + gap), Self.barHeight(rows: rows.count) + 8) + margin
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
            let map = try map(row.entropy)
            try draw(map, on: &svg, in: place(0), opacity: 1)
            if let sample = row.samples.first {
                try svg.draw(sample, in: Self.fit(sample, place(1)))
                try draw(map, on: &svg, in: Self.fit(sample, place(1)), opacity: 0.55)
            }
            for (number, sample) in row.samples.enumerated() { try svg.draw(sample, in: Self.fit(sample, place(2 + number))) }
        }
        try drawBar(on: &svg, at: width - margin - barWidth + 24, head)
        return svg
    }

    /// A pixel for each token, in the colour of its entropy.
    private func map(_ entropy: [Double]) throws -> Picture {
        let columns = max(1, min(columns, entropy.count))
        let lines = max(1, entropy.count / columns)
        let (low, high) = range
        let colors = (0..<(lines * columns)).map { position in
            ColorMap.color(position < entropy.count ? (entropy[position] - low) / (high - low) : .nan)
        }
        return try Picture(width: columns, height: lines, channels: 3, pixels: colors.flatMap(\.bytes))
    }

    /// Position 1, which has no entropy, is struck out.
    private func draw(_ map: Picture, on svg: inout SVG, in rect: SVG.Rect, opacity: Double) throws {
        try svg.draw(map, in: rect, opacity: opacity)
        let first = SVG.Rect(
            rect.left, rect.top, rect.left + rect.width / Double(map.width), rect.top + rect.height / Double(map.height))
        svg.fill(first, class: "missing", opacity: opacity)
        svg.line(SVG.Point(first.left, first.bottom), SVG.Point(first.right, first.top), class: "strike", width: 1.2)
    }

    private static func barHeight(rows: Int) -> Double { min(Double(max(1, rows)) * cell, 190) }

    /// The scale of the colours, the highest above.
    private func drawBar(on svg: inout SVG, at left: Double, _ top: Double) throws {
        let height = Self.barHeight(rows: rows.count)
        let (low, high) = range
        let steps = 128
        let colors = (0..<steps).flatMap { ColorMap.color(1 - (Double($0) + 0.5) / Double(steps)).bytes }
        try svg.draw(
            Picture(width: 1, height: steps, channels: 3, pixels: colors), in: SVG.Rect(left, top, left + 11, top + height))
        svg.text("E", at: SVG.Point(left, top - 8))
        let ticks = Ticks.linear(low, high, count: 4)
        for (value, label) in zip(ticks.values, ticks.labels) {
            let y = top + height * (1 - (value - low) / (high - low))
            svg.line(SVG.Point(left + 11, y), SVG.Point(left + 15, y), class: "axis")
            svg.text(label, at: SVG.Point(left + 18, y + Plot.Layout.textSize * Plot.Layout.halfCapital))
        }
    }

    /// The largest part of `rect` of the picture's proportions.
    private static func fit(_ picture: Picture, _ rect: SVG.Rect) -> SVG.Rect {
        let (width, height) = (Double(picture.width), Double(picture.height))
        let scale = min(rect.width / width, rect.height / height)
        let (x, y) = (rect.left + (rect.width - width * scale) / 2, rect.top + (rect.height - height * scale) / 2)
        return SVG.Rect(x, y, x + width * scale, y + height * scale)
    }
}
