import DriftFormats

/// A figure of a page.
package protocol Figure: Sendable {
    func drawing() throws -> SVG
}

extension Plot: Figure {
    /// Sizes in points.
    package enum Layout {
        package static let width = 600.0
        package static let height = 370.0
        package static let titleSize = 15.0
        package static let textSize = 12.0
        package static let margin = 16.0
        /// From a line of text's middle down to its baseline, over its size.
        package static let halfCapital = 0.36
    }

    /// The diagram: title, legend, then the axes, so that the legend never covers data.
    package func drawing() -> SVG {
        var svg = SVG(width: Layout.width, height: Layout.height, label: title)
        var top = Layout.margin + Layout.titleSize * 0.72
        svg.text(title, at: SVG.Point(Layout.margin, top), class: "title")
        top = drawLegend(on: &svg, below: top)
        let size = Layout.textSize
        let (xs, ys) = scales()
        let widest = ys.ticks.labels.map { SVG.width($0, size: size) }.max() ?? 0
        top += 12 + size * 0.72
        svg.text(y.label, at: SVG.Point(Layout.margin, top))
        let area = SVG.Rect(Layout.margin + widest + 10, top + 15, Layout.width - 22, Layout.height - 48)
        let frame = Frame(area: area, x: xs, y: ys)
        drawAxes(on: &svg, frame)
        svg.text(x.label, at: SVG.Point((area.left + area.right) / 2, Layout.height - 13), anchor: .middle)
        svg.clipped(to: SVG.Rect(area.left, area.top - 2, area.right, area.bottom + 2)) { svg in
            for rule in rules { draw(rule, on: &svg, frame) }
            for item in series { draw(item, on: &svg, frame) }
        }
        // Words over lines: a curve must not cross out the phase's name.
        for rule in rules { label(rule, on: &svg, frame) }
        return svg
    }

    /// Where values lie in the drawing.
    struct Frame: Sendable {
        let area: SVG.Rect
        let x: AxisScale
        let y: AxisScale

        func x(_ value: Double) -> Double { area.left + x.place(value) * area.width }
        func y(_ value: Double) -> Double { area.bottom - y.place(value) * area.height }
        func point(_ point: Point) -> SVG.Point { SVG.Point(x(point.x), y(point.y)) }
    }

    func scales() -> (AxisScale, AxisScale) {
        var (xs, ys): ([Double], [Double]) = ([], [])
        var (hasBars, hasPoints) = (false, false)
        for item in series {
            switch item.layer {
            case .line(let points):
                xs += points.map(\.x)
                ys += points.map(\.y)
            case .points(let points, _, _):
                xs += points.map(\.x)
                ys += points.map(\.y)
                hasPoints = true
            case .bars(let edges, let heights):
                xs += edges
                ys += heights
                hasBars = true
            case .band(let lower, let upper):
                xs += lower.map(\.x)
                ys += (lower + upper).map(\.y)
            case .errorBars(let bars):
                xs += bars.map(\.x)
                ys += bars.flatMap { [$0.low, $0.y, $0.high] }
            }
        }
        // A line to compare with belongs into the picture.
        ys += rules.filter { $0.direction == .horizontal }.map(\.value)
        return (
            AxisScale(x, values: xs, isTight: !hasPoints), AxisScale(y, values: ys, includesZero: hasBars)
        )
    }

    private func drawLegend(on svg: inout SVG, below top: Double) -> Double {
        let named = series.filter { !$0.name.isEmpty }
        guard !named.isEmpty else { return top }
        let size = Layout.textSize
        var (x, y) = (Layout.margin, top + 12 + size * 0.72)
        for item in named {
            let symbol = item.layer.symbolWidth
            let width = symbol + 7 + SVG.width(item.name, size: size)
            if x > Layout.margin, x + width > Layout.width - Layout.margin { (x, y) = (Layout.margin, y + 18) }
            let middle = y - size * Layout.halfCapital
            let (fill, stroke) = (Theme.fill(item.color), Theme.stroke(item.color))
            switch item.layer {
            case .line: svg.line(SVG.Point(x + 1.2, middle), SVG.Point(x + symbol - 1.2, middle), class: stroke, width: 2.4)
            case .points: svg.disc(SVG.Point(x + symbol / 2, middle), radius: symbol / 2, class: fill)
            case .bars, .band:
                let opacity = item.layer.isBand ? Self.bandOpacity : Self.barOpacity
                svg.fill(SVG.Rect(x, middle - 4.5, x + symbol, middle + 4.5), class: fill, opacity: opacity)
            case .errorBars:
                let center = SVG.Point(x + symbol / 2, middle)
                svg.line(SVG.Point(center.x, middle - 6), SVG.Point(center.x, middle + 6), class: stroke, width: 1.6)
                svg.disc(center, radius: symbol / 2, class: fill)
            }
            svg.text(item.name, at: SVG.Point(x + symbol + 7, y))
            x += width + 24
        }
        return y
    }

    private func drawAxes(on svg: inout SVG, _ frame: Frame) {
        let (size, area) = (Layout.textSize, frame.area)
        for (value, label) in zip(frame.y.ticks.values, frame.y.ticks.labels) {
            let y = frame.y(value)
            svg.line(SVG.Point(area.left, y), SVG.Point(area.right, y), class: label.isEmpty ? "grid faint" : "grid")
            svg.text(label, at: SVG.Point(area.left - 8, y + size * Layout.halfCapital), anchor: .end)
        }
        var end = -Double.infinity
        for (value, label) in zip(frame.x.ticks.values, frame.x.ticks.labels).sorted(by: { frame.x($0.0) < frame.x($1.0) }) {
            let x = frame.x(value)
            svg.line(SVG.Point(x, area.top), SVG.Point(x, area.bottom), class: "grid faint")
            let half = SVG.width(label, size: size) / 2
            guard !label.isEmpty, x - half > end + 8, x + half < Layout.width - 4 else { continue }
            svg.line(SVG.Point(x, area.bottom), SVG.Point(x, area.bottom + 4), class: "axis")
            svg.text(label, at: SVG.Point(x, area.bottom + 8 + size * 0.72), anchor: .middle)
            end = x + half
        }
        svg.line(SVG.Point(area.left, area.bottom), SVG.Point(area.right, area.bottom), class: "axis", width: 1.2)
    }

    private static let barOpacity = 0.72
    private static let bandOpacity = 0.2

    private func draw(_ item: Series, on svg: inout SVG, _ frame: Frame) {
        let (fill, stroke) = (Theme.fill(item.color), Theme.stroke(item.color))
        switch item.layer {
        case .line(let points): svg.stroke(runs(points, frame), class: stroke, width: 2)
        case .points(let points, let radius, let opacity):
            svg.group(class: fill, opacity: opacity) { svg in
                for point in points { svg.disc(frame.point(point), radius: radius, class: fill) }
            }
        case .bars(let edges, let heights):
            for (index, height) in heights.enumerated() where index + 1 < edges.count && height > 0 {
                let (left, right) = (frame.x(edges[index]), frame.x(edges[index + 1]))
                let room = min(0.8, (right - left) / 6)
                svg.fill(
                    SVG.Rect(left + room, frame.y(height), right - room, frame.area.bottom), class: fill, opacity: Self.barOpacity,
                    title: "\(NumberText.brief(edges[index])) to \(NumberText.brief(edges[index + 1])): \(NumberText.brief(height))")
            }
        case .band(let lower, let upper):
            svg.fill((upper + lower.reversed()).map(frame.point), class: fill, opacity: Self.bandOpacity)
        case .errorBars(let bars):
            for bar in bars {
                let (x, y) = (frame.x(bar.x), frame.y(bar.y))
                svg.line(SVG.Point(x, frame.y(bar.low)), SVG.Point(x, frame.y(bar.high)), class: stroke, width: 1.6)
                svg.disc(SVG.Point(x, y), radius: 5, class: "paper")
                let spread = bar.low.isFinite && bar.high.isFinite
                    ? ", from \(NumberText.brief(bar.low)) to \(NumberText.brief(bar.high))" : ""
                svg.disc(SVG.Point(x, y), radius: 3.8, class: fill, title: NumberText.brief(bar.y) + spread)
            }
        }
    }

    /// The stretches without a gap; a value that the axis has no place for is a gap.
    private func runs(_ points: [Point], _ frame: Frame) -> [[SVG.Point]] {
        var runs: [[SVG.Point]] = [[]]
        for point in points.map(frame.point) {
            if point.x.isFinite, point.y.isFinite {
                runs[runs.count - 1].append(point)
            } else if !runs[runs.count - 1].isEmpty {
                runs.append([])
            }
        }
        // A single value between gaps shows as a dot.
        return runs.filter { !$0.isEmpty }.map { $0.count == 1 ? $0 + $0 : Self.thinned($0) }
    }

    /// A curve of more points than can be told apart: of those in half a point's width the first, the last, the lowest and the
    /// highest, in their order. It looks the same, and the page of a long run stays small.
    static func thinned(_ points: [SVG.Point]) -> [SVG.Point] {
        guard points.count > Int(8 * Layout.width) else { return points }
        var result: [SVG.Point] = []
        var start = 0
        while start < points.count {
            var end = start
            let column = (points[start].x * 2).rounded(.down)
            while end < points.count, (points[end].x * 2).rounded(.down) == column { end += 1 }
            let range = start..<end
            let low = range.min { points[$0].y < points[$1].y } ?? start
            let high = range.max { points[$0].y < points[$1].y } ?? start
            result += Set([start, low, high, end - 1]).sorted().map { points[$0] }
            start = end
        }
        return result
    }

    private func draw(_ rule: Rule, on svg: inout SVG, _ frame: Frame) {
        let area = frame.area
        if rule.direction == .vertical {
            let x = frame.x(rule.value)
            svg.line(SVG.Point(x, area.top), SVG.Point(x, area.bottom), class: "rule", width: 1.2)
        } else {
            let y = frame.y(rule.value)
            svg.line(SVG.Point(area.left, y), SVG.Point(area.right, y), class: "rule", width: 1.2)
        }
    }

    private func label(_ rule: Rule, on svg: inout SVG, _ frame: Frame) {
        let isVertical = rule.direction == .vertical
        let place = isVertical ? frame.x.place(rule.value) : frame.y.place(rule.value)
        guard place >= 0, place <= 1 else { return }
        guard isVertical else {
            // Below the line where the names of vertical ones stand above it.
            let y = frame.y(rule.value)
            let isAtTop = y - frame.area.top < 16
            svg.text(rule.text, at: SVG.Point(frame.area.right - 4, isAtTop ? y + 13 : y - 5), class: "halo", anchor: .end)
            return
        }
        let (x, y) = (frame.x(rule.value), frame.area.top - 3)
        let fits = x + 6 + SVG.width(rule.text, size: Layout.textSize) < Layout.width - 6
        svg.text(rule.text, at: SVG.Point(fits ? x + 6 : x - 6, y), class: "halo", anchor: fits ? .start : .end)
    }
}

extension Plot.Layer {
    /// Of its symbol in the legend, in points.
    fileprivate var symbolWidth: Double {
        switch self {
        case .line: 17
        case .points, .errorBars: 7
        case .bars, .band: 11
        }
    }

    fileprivate var isBand: Bool {
        if case .band = self { true } else { false }
    }
}
