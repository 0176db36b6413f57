import Foundation

/// A figure that can be painted in the colours of a page.
protocol Figure: Sendable {
    func picture(_ theme: Theme) throws -> Picture
}

extension Plot: Figure {
    /// Sizes in points.
    enum Layout {
        static let width = 600.0
        static let height = 370.0
        static let titleSize = 14.5
        static let textSize = 11.5
        static let margin = 16.0
    }

    /// The diagram: title, legend, then the axes, so that the legend never covers data.
    func picture(_ theme: Theme) throws -> Picture {
        var canvas = Canvas(width: Layout.width, height: Layout.height, background: theme.background)
        var top = Layout.margin + StrokeFont.capHeight(Layout.titleSize)
        canvas.text(title, at: CanvasPoint(Layout.margin, top), size: Layout.titleSize, theme.ink, weight: 1.35)
        top = drawLegend(on: &canvas, below: top, theme)
        let size = Layout.textSize
        let (xs, ys) = scales()
        let widest = ys.ticks.labels.map { StrokeFont.width($0, size: size) }.max() ?? 0
        top += 12 + StrokeFont.capHeight(size)
        canvas.text(y.label, at: CanvasPoint(Layout.margin, top), size: size, theme.muted)
        let area = CanvasRect(Layout.margin + widest + 8, top + 11, Layout.width - 22, Layout.height - 47)
        drawAxes(on: &canvas, area, xs, ys, theme)
        canvas.text(
            x.label, at: CanvasPoint((area.left + area.right) / 2, Layout.height - 13), size: size, theme.muted, align: .center)
        let whole = canvas.clip
        canvas.clip = CanvasRect(area.left, area.top - 2, area.right, area.bottom + 2)
        let frame = Frame(area: area, x: xs, y: ys)
        for rule in rules { draw(rule, on: &canvas, frame, theme) }
        for item in series { draw(item, on: &canvas, frame, theme) }
        canvas.clip = whole
        // Words over lines: a curve must not cross out the phase's name.
        for rule in rules { label(rule, on: &canvas, frame, theme) }
        return try canvas.picture()
    }

    /// Where values lie on the canvas.
    private struct Frame {
        let area: CanvasRect
        let x: AxisScale
        let y: AxisScale

        func x(_ value: Double) -> Double { area.left + x.place(value) * area.width }
        func y(_ value: Double) -> Double { area.bottom - y.place(value) * area.height }
        func point(_ point: Point) -> CanvasPoint { CanvasPoint(x(point.x), y(point.y)) }
    }

    private func scales() -> (AxisScale, AxisScale) {
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

    private func drawLegend(on canvas: inout Canvas, below top: Double, _ theme: Theme) -> Double {
        let named = series.filter { !$0.name.isEmpty }
        guard !named.isEmpty else { return top }
        let size = Layout.textSize
        var (x, y) = (Layout.margin, top + 12 + StrokeFont.capHeight(size))
        for item in named {
            let symbol = item.layer.symbolWidth
            let width = symbol + 7 + StrokeFont.width(item.name, size: size)
            if x > Layout.margin, x + width > Layout.width - Layout.margin { (x, y) = (Layout.margin, y + 17) }
            let middle = y - StrokeFont.capHeight(size) / 2
            let color = theme.color(item.color)
            switch item.layer {
            case .line: canvas.stroke([CanvasPoint(x + 1.2, middle), CanvasPoint(x + symbol - 1.2, middle)], width: 2.4, color)
            case .points: canvas.disc(CanvasPoint(x + symbol / 2, middle), radius: symbol / 2, color)
            case .bars, .band:
                let alpha = item.layer.isBand ? Self.bandAlpha : Self.barAlpha
                canvas.fill(CanvasRect(x, middle - 4.5, x + symbol, middle + 4.5), color, alpha: alpha)
            case .errorBars:
                let center = CanvasPoint(x + symbol / 2, middle)
                canvas.stroke([CanvasPoint(center.x, middle - 6), CanvasPoint(center.x, middle + 6)], width: 1.6, color)
                canvas.disc(center, radius: symbol / 2, color)
            }
            canvas.text(item.name, at: CanvasPoint(x + symbol + 7, y), size: size, theme.muted)
            x += width + 18
        }
        return y
    }

    private func drawAxes(on canvas: inout Canvas, _ area: CanvasRect, _ xs: AxisScale, _ ys: AxisScale, _ theme: Theme) {
        let size = Layout.textSize
        for (value, label) in zip(ys.ticks.values, ys.ticks.labels) {
            let y = area.bottom - ys.place(value) * area.height
            guard y.isFinite else { continue }
            canvas.stroke(
                [CanvasPoint(area.left, y), CanvasPoint(area.right, y)], width: 1, theme.grid, alpha: label.isEmpty ? 0.45 : 1)
            canvas.text(
                label, at: CanvasPoint(area.left - 8, y + StrokeFont.capHeight(size) / 2), size: size, theme.muted, align: .right)
        }
        var end = -Double.infinity
        for (value, label) in zip(xs.ticks.values, xs.ticks.labels).sorted(by: { xs.place($0.0) < xs.place($1.0) }) {
            let x = area.left + xs.place(value) * area.width
            guard x.isFinite else { continue }
            canvas.stroke(
                [CanvasPoint(x, area.top), CanvasPoint(x, area.bottom)], width: 1, theme.grid, alpha: label.isEmpty ? 0.3 : 0.6)
            let half = StrokeFont.width(label, size: size) / 2
            guard !label.isEmpty, x - half > end + 6, x + half < Layout.width - 4 else { continue }
            canvas.stroke([CanvasPoint(x, area.bottom), CanvasPoint(x, area.bottom + 4)], width: 1, theme.axis)
            canvas.text(
                label, at: CanvasPoint(x, area.bottom + 8 + StrokeFont.capHeight(size)), size: size, theme.muted, align: .center)
            end = x + half
        }
        canvas.stroke([CanvasPoint(area.left, area.bottom), CanvasPoint(area.right, area.bottom)], width: 1.2, theme.axis)
    }

    private static let barAlpha: Float = 0.72
    private static let bandAlpha: Float = 0.2

    private func draw(_ item: Series, on canvas: inout Canvas, _ frame: Frame, _ theme: Theme) {
        let color = theme.color(item.color)
        switch item.layer {
        case .line(let points): canvas.stroke(runs(points, frame), width: 2, color)
        case .points(let points, let radius, let alpha):
            for point in points.map(frame.point) where point.x.isFinite && point.y.isFinite {
                canvas.disc(point, radius: radius, color, alpha: alpha)
            }
        case .bars(let edges, let heights):
            for (index, height) in heights.enumerated() where index + 1 < edges.count && height > 0 {
                let (left, right) = (frame.x(edges[index]), frame.x(edges[index + 1]))
                let room = min(0.8, (right - left) / 6)
                canvas.fill(
                    CanvasRect(left + room, frame.y(height), right - room, frame.area.bottom), color, alpha: Self.barAlpha)
            }
        case .band(let lower, let upper):
            canvas.fill(between: upper.map(frame.point), and: lower.map(frame.point), color, alpha: Self.bandAlpha)
        case .errorBars(let bars):
            for bar in bars {
                let (x, y) = (frame.x(bar.x), frame.y(bar.y))
                canvas.stroke([CanvasPoint(x, frame.y(bar.low)), CanvasPoint(x, frame.y(bar.high))], width: 1.6, color)
                canvas.disc(CanvasPoint(x, y), radius: 5, theme.background)
                canvas.disc(CanvasPoint(x, y), radius: 3.8, color)
            }
        }
    }

    /// The stretches without a gap; a value that the axis has no place for is a gap.
    private func runs(_ points: [Point], _ frame: Frame) -> [[CanvasPoint]] {
        var runs: [[CanvasPoint]] = [[]]
        for point in points.map(frame.point) {
            if point.x.isFinite, point.y.isFinite {
                runs[runs.count - 1].append(point)
            } else if !runs[runs.count - 1].isEmpty {
                runs.append([])
            }
        }
        // A single value between gaps shows as a dot.
        return runs.filter { !$0.isEmpty }.map { $0.count == 1 ? $0 + $0 : $0 }
    }

    private func draw(_ rule: Rule, on canvas: inout Canvas, _ frame: Frame, _ theme: Theme) {
        let isVertical = rule.direction == .vertical
        let place = isVertical ? frame.x(rule.value) : frame.y(rule.value)
        guard place.isFinite else { return }
        let ends = isVertical
            ? [CanvasPoint(place, frame.area.top), CanvasPoint(place, frame.area.bottom)]
            : [CanvasPoint(frame.area.left, place), CanvasPoint(frame.area.right, place)]
        canvas.stroke(ends, width: 1.2, theme.muted, dash: (2.5, 4))
    }

    private func label(_ rule: Rule, on canvas: inout Canvas, _ frame: Frame, _ theme: Theme) {
        let isVertical = rule.direction == .vertical
        let place = isVertical ? frame.x.place(rule.value) : frame.y.place(rule.value)
        guard place >= 0, place <= 1, !rule.text.isEmpty else { return }
        let size = Layout.textSize - 1
        let (width, cap) = (StrokeFont.width(rule.text, size: size), StrokeFont.capHeight(size))
        var origin = isVertical
            ? CanvasPoint(frame.x(rule.value) + 6, frame.area.top - 4)
            : CanvasPoint(frame.area.right - width - 4, frame.y(rule.value) - 5)
        if isVertical, origin.x + width > Layout.width - 6 { origin.x = frame.x(rule.value) - 6 - width }
        canvas.fill(
            CanvasRect(origin.x - 3, origin.y - cap - 3, origin.x + width + 3, origin.y + 3.5), theme.background, alpha: 0.8)
        canvas.text(rule.text, at: origin, size: size, theme.muted)
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
