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
    private static let textSize = 11.5

    /// What the colours span: the entropies without E_1, which is 0 by definition.
    var range: (low: Double, high: Double) {
        let values = rows.flatMap { $0.entropy.dropFirst() }.filter(\.isFinite)
        let (low, high) = (values.min() ?? 0, values.max() ?? 1)
        return high - low > 1e-6 ? (low, high) : (low - 5e-7, low + 5e-7)
    }

    func picture(_ theme: Theme) throws -> Picture {
        let (cell, gap, margin, size) = (Self.cell, Self.gap, Self.margin, Self.textSize)
        let shown = rows.map(\.samples.count).max() ?? 0
        let nameWidth = (rows.map { StrokeFont.width($0.name, size: size) }.max() ?? 0) + 10
        let blockWidth = nameWidth + Double(2 + shown) * cell + Double(1 + shown) * gap
        let blocks = rows.count > 3 && blockWidth < 520 ? 2 : 1
        let lines = (rows.count + blocks - 1) / blocks
        let between = 30.0
        let barWidth = 70.0
        let head = margin + 52
        let width = max(
            2 * margin + Double(blocks) * blockWidth + Double(blocks - 1) * between + barWidth,
            2 * margin + StrokeFont.width(title, size: Plot.Layout.titleSize))
        let height = head + Double(lines) * (cell + gap) + margin
        var canvas = Canvas(width: width, height: height, background: theme.background)
        canvas.text(
            title, at: CanvasPoint(margin, margin + StrokeFont.capHeight(Plot.Layout.titleSize)), size: Plot.Layout.titleSize,
            theme.ink, weight: 1.35)
        let (low, high) = range
        for (index, row) in rows.enumerated() {
            let left = margin + Double(index / lines) * (blockWidth + between)
            let top = head + Double(index % lines) * (cell + gap)
            if index % lines == 0 {
                for (column, text) in ["entropy", "on sample", "samples"].enumerated() where column < 2 || shown > 0 {
                    let x = left + nameWidth + Double(column) * (cell + gap)
                    canvas.text(text, at: CanvasPoint(x, head - 8), size: size, theme.muted)
                }
            }
            canvas.text(
                row.name, at: CanvasPoint(left + nameWidth - 10, top + cell / 2 + StrokeFont.capHeight(size) / 2), size: size,
                theme.ink, align: .right)
            func place(_ column: Int) -> CanvasRect {
                let x = left + nameWidth + Double(column) * (cell + gap)
                return CanvasRect(x, top, x + cell, top + cell)
            }
            drawMap(row.entropy, on: &canvas, in: place(0), low, high, alpha: 1, theme)
            if let sample = row.samples.first {
                canvas.draw(sample, in: Self.fit(sample, place(1)))
                drawMap(row.entropy, on: &canvas, in: Self.fit(sample, place(1)), low, high, alpha: 0.55, theme)
            }
            for (number, sample) in row.samples.enumerated() { canvas.draw(sample, in: Self.fit(sample, place(2 + number))) }
        }
        drawBar(on: &canvas, at: width - margin - barWidth + 24, head, low, high, theme)
        return try canvas.picture()
    }

    private func drawMap(
        _ entropy: [Double], on canvas: inout Canvas, in rect: CanvasRect, _ low: Double, _ high: Double, alpha: Float,
        _ theme: Theme
    ) {
        let columns = max(1, columns)
        let lines = max(1, entropy.count / columns)
        let (wide, tall) = (rect.width / Double(columns), rect.height / Double(lines))
        for (position, value) in entropy.enumerated() {
            let (column, line) = (Double(position % columns), Double(position / columns))
            // Whole pixels: neighbours would show seams.
            func whole(_ value: Double) -> Double { (value * canvas.scale).rounded() / canvas.scale }
            let area = CanvasRect(
                whole(rect.left + column * wide), whole(rect.top + line * tall), whole(rect.left + (column + 1) * wide),
                whole(rect.top + (line + 1) * tall))
            if position == 0 {
                canvas.fill(area, theme.missing, alpha: alpha)
                canvas.clip = area
                canvas.stroke(
                    [CanvasPoint(area.left, area.bottom), CanvasPoint(area.right, area.top)], width: 1.2, theme.muted, alpha: alpha)
                canvas.clip = CanvasRect(0, 0, Double(canvas.width) / canvas.scale, Double(canvas.height) / canvas.scale)
            } else {
                canvas.fill(area, ColorMap.color((value - low) / (high - low)), alpha: alpha)
            }
        }
    }

    /// The scale of the colours, the highest above.
    private func drawBar(
        on canvas: inout Canvas, at left: Double, _ top: Double, _ low: Double, _ high: Double, _ theme: Theme
    ) {
        let height = min(Double(max(1, rows.count)) * Self.cell, 190)
        for step in 0..<Int(height) {
            let y = top + Double(step)
            canvas.fill(CanvasRect(left, y, left + 11, y + 1), ColorMap.color(1 - (Double(step) + 0.5) / height))
        }
        let size = Self.textSize - 1
        canvas.text("E", at: CanvasPoint(left, top - 8), size: size, theme.muted)
        let ticks = Ticks.linear(low, high, count: 4)
        for (value, label) in zip(ticks.values, ticks.labels) {
            let y = top + height * (1 - (value - low) / (high - low))
            canvas.stroke([CanvasPoint(left + 11, y), CanvasPoint(left + 14, y)], width: 1, theme.axis)
            canvas.text(label, at: CanvasPoint(left + 17, y + StrokeFont.capHeight(size) / 2), size: size, theme.muted)
        }
    }

    /// The largest part of `rect` of the picture's proportions.
    private static func fit(_ picture: Picture, _ rect: CanvasRect) -> CanvasRect {
        let (width, height) = (Double(picture.width), Double(picture.height))
        let scale = min(rect.width / width, rect.height / height)
        let (x, y) = (rect.left + (rect.width - width * scale) / 2, rect.top + (rect.height - height * scale) / 2)
        return CanvasRect(x, y, x + width * scale, y + height * scale)
    }
}
