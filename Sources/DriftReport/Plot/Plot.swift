import Foundation

/// A diagram: layers over two axes, in the order they are painted.
package struct Plot: Sendable {
    package struct Axis: Sendable {
        package var label: String
        var isLogarithmic = false
        /// Whether the least value stands at the far end.
        var isReversed = false
        /// What it shows; that of the values, with some room, where nil.
        package var range: (low: Double, high: Double)?

        package init(
            _ label: String, isLogarithmic: Bool = false, isReversed: Bool = false, range: (low: Double, high: Double)? = nil
        ) {
            (self.label, self.isLogarithmic, self.isReversed, self.range) = (label, isLogarithmic, isReversed, range)
        }
    }

    package struct Point: Sendable, Equatable {
        package var x: Double
        package var y: Double

        package init(_ x: Double, _ y: Double) { (self.x, self.y) = (x, y) }
    }

    package enum Layer: Sendable {
        case line([Point])
        case points([Point], radius: Double, opacity: Double)
        /// Bars from 0 between neighbouring edges: one edge more than heights.
        case bars(edges: [Double], heights: [Double])
        /// Between two lines over the same x.
        case band(lower: [Point], upper: [Point])
        /// A mark at the value, and a line from low to high.
        case errorBars([(x: Double, y: Double, low: Double, high: Double)])
    }

    package struct Series: Sendable {
        /// In the legend; none where empty.
        package var name: String
        /// Of the theme.
        package var color: Int
        var layer: Layer

        package init(_ name: String, color: Int, _ layer: Layer) { (self.name, self.color, self.layer) = (name, color, layer) }
    }

    /// A thin line across the diagram with a word beside it.
    package struct Rule: Sendable {
        package enum Direction: Sendable { case vertical, horizontal }
        package var value: Double
        package var text: String
        var direction = Direction.vertical

        package init(value: Double, text: String, direction: Direction = .vertical) {
            (self.value, self.text, self.direction) = (value, text, direction)
        }
    }

    package var title: String
    package var x: Axis
    package var y: Axis
    package var series: [Series] = []
    var rules: [Rule] = []

    package init(_ title: String, x: Axis, y: Axis, series: [Series] = [], rules: [Rule] = []) {
        (self.title, self.x, self.y, self.series, self.rules) = (title, x, y, series, rules)
    }
}

/// How an axis turns values into places between 0 and 1.
struct AxisScale: Sendable {
    let low: Double
    let high: Double
    let isLogarithmic: Bool
    let isReversed: Bool
    let ticks: Ticks

    /// Of the axis' own range, else of the values: those that are not finite do not count, on a logarithmic axis only those
    /// above 0 do. An axis that no value suits is linear from 0 to 1.
    init(_ axis: Plot.Axis, values: [Double], includesZero: Bool = false, isTight: Bool = false) {
        var isLogarithmic = axis.isLogarithmic
        var usable = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
        if isLogarithmic, usable.isEmpty {
            isLogarithmic = false
            usable = values.filter(\.isFinite)
        }
        if includesZero, !isLogarithmic { usable.append(0) }
        var (low, high) = (usable.min() ?? 0, usable.max() ?? 1)
        if let range = axis.range, range.low < range.high, !isLogarithmic || range.low > 0 {
            (low, high) = range
        } else if isLogarithmic {
            if high <= low * 1.05 { (low, high) = (low / 2, high * 2) }
            let room = pow(high / low, isTight ? 0 : 0.05)
            (low, high) = (max(low / room, .leastNormalMagnitude), min(high * room, .greatestFiniteMagnitude / 2))
        } else {
            // All the same, or as good as: no axis could tell them apart.
            if high - low <= abs(high) * 1e-9 {
                let room = high == 0 ? 1 : abs(high) * 0.1
                (low, high) = (low - room, high + room)
            }
            let room = isTight ? 0 : (high - low) * 0.05
            (low, high) = (includesZero && low == 0 ? 0 : low - room, high + room)
        }
        (self.low, self.high, self.isLogarithmic, isReversed) = (low, high, isLogarithmic, axis.isReversed)
        ticks = isLogarithmic ? .logarithmic(low, high) : .linear(low, high)
    }

    /// 0 at the near end, 1 at the far one; NaN where the axis has no place for the value.
    func place(_ value: Double) -> Double {
        let place = isLogarithmic ? (value > 0 ? log(value / low) / log(high / low) : .nan) : (value - low) / (high - low)
        return isReversed ? 1 - place : place
    }
}
