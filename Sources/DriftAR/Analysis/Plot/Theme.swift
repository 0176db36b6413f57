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

    func color(_ index: Int) -> Color { series[((index % series.count) + series.count) % series.count] }
}

/// Numbers in [0, 1] as colours of even steps in lightness: viridis, between ten of its colours.
enum ColorMap {
    private static let anchors = [
        0x440154, 0x482878, 0x3E4989, 0x31688E, 0x26828E, 0x1F9E89, 0x35B779, 0x6DCD59, 0xB4DE2C, 0xFDE725,
    ].map { Color(UInt32($0)) }

    static func color(_ value: Double) -> Color {
        guard !value.isNaN else { return anchors[0] }
        let place = min(max(value, 0), 1) * Double(anchors.count - 1)
        let below = min(Int(place), anchors.count - 2)
        return anchors[below].mixed(with: anchors[below + 1], Float(place - Double(below)))
    }
}
