/// An sRGB colour of three parts in [0, 1].
package struct Color: Sendable, Equatable {
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

    /// Red, green and blue in eight bits.
    package var bytes: [UInt8] { [red, green, blue].map { UInt8(min(max($0, 0), 1) * 255 + 0.5) } }

    /// As CSS writes it: #0072b2.
    var css: String {
        "#" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

/// Colours of a plot on a light or a dark page. Those of series are Okabe and Ito's, which people of every colour vision can
/// tell apart, brightened where the page is dark.
struct Theme: Sendable {
    let background: Color
    /// Titles.
    let ink: Color
    /// Tick labels and names of axes.
    let muted: Color
    let grid: Color
    let axis: Color
    /// What has no value.
    let missing: Color
    let series: [Color]

    static let light = Theme(
        background: Color(0xFFFFFF), ink: Color(0x1B1F24), muted: Color(0x57606A), grid: Color(0xE7EAEE),
        axis: Color(0xA8B0B9), missing: Color(0xD5D9DE),
        series: [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9].map(Color.init))

    static let dark = Theme(
        background: Color(0x161B22), ink: Color(0xE6EDF3), muted: Color(0x9DA7B3), grid: Color(0x2A313A),
        axis: Color(0x59636E), missing: Color(0x3A424C),
        series: [0x56B4E9, 0xF0884A, 0x2BC596, 0xE29BC6, 0xF0C04A, 0x4A8FD9].map(Color.init))

    /// The class of what is filled with a series' colour.
    static func fill(_ series: Int) -> String { "f\(place(series))" }
    /// The class of a line in a series' colour.
    static func stroke(_ series: Int) -> String { "s\(place(series))" }

    private static func place(_ series: Int) -> Int {
        let count = light.series.count
        return (series % count + count) % count
    }

    /// The rules for the classes of plots, light or dark as the reader's page is. A viewer that knows no such preference shows
    /// them light.
    static let style = """
        .plot text { font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
        .plot .title { font-size: 15px; font-weight: 600; }
        .plot path, .plot line { fill: none; stroke-linecap: round; stroke-linejoin: round; }
        .plot .grid, .plot .axis { stroke-linecap: butt; }
        .plot .faint { stroke-opacity: 0.45; }
        .plot .rule { stroke-dasharray: 2.5 4; }
        .plot .halo { font-size: 11px; paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }
        .plot image { image-rendering: pixelated; }
        \(light.rules)
        @media (prefers-color-scheme: dark) {
        \(dark.rules)
        }
        """

    private var rules: String {
        let colors = series.enumerated().map { ".plot .f\($0) { fill: \($1.css); } .plot .s\($0) { stroke: \($1.css); }" }
        return ([
            ".plot .paper { fill: \(background.css); } .plot text { fill: \(muted.css); } .plot .title, .plot .name { fill: \(ink.css); }",
            ".plot .grid { stroke: \(grid.css); } .plot .axis { stroke: \(axis.css); } .plot .rule, .plot .strike { stroke: \(muted.css); }",
            ".plot .halo { stroke: \(background.css); } .plot .missing { fill: \(missing.css); }",
        ] + colors).joined(separator: "\n")
    }
}

/// Numbers in [0, 1] as colours of even steps in lightness: viridis, between ten of its colours.
package enum ColorMap {
    private static let anchors = [
        0x440154, 0x482878, 0x3E4989, 0x31688E, 0x26828E, 0x1F9E89, 0x35B779, 0x6DCD59, 0xB4DE2C, 0xFDE725,
    ].map { Color(UInt32($0)) }

    package static func color(_ value: Double) -> Color {
        guard !value.isNaN else { return anchors[0] }
        let place = min(max(value, 0), 1) * Double(anchors.count - 1)
        let below = min(Int(place), anchors.count - 2)
        return anchors[below].mixed(with: anchors[below + 1], Float(place - Double(below)))
    }
}
