import DriftFormats
import DriftReport

/// A diagram of errors against entropies, with the means of bins.
struct EntropyScatter: Sendable {
    let pairs: [(x: Double, y: Double)]
    let bins: BinnedMeans
    /// Whose entropy it is.
    let owner: String

    init(_ pairs: [(x: Double, y: Double)], bins: BinnedMeans, entropy owner: String) {
        (self.pairs, self.bins, self.owner) = (pairs, bins, owner)
    }

    /// Most points that are drawn; of more, evenly spaced ones are.
    private static let pointLimit = 5000

    /// Whether most entropies are so near to the ceiling that a linear axis would not keep them apart.
    private var isCrowded: Bool {
        let entropies = pairs.map(\.x).sorted()
        return !entropies.isEmpty && entropies[entropies.count / 2] > 0.97
    }

    func figure(_ name: String, _ title: String, _ unit: String, caption: String) -> NamedFigure {
        let (isCrowded, least) = (isCrowded, Double(Float.ulpOfOne) / 2)
        // On the axis; an entropy that single precision cannot tell from 1 counts as its nearest.
        let place = { (entropy: Double) in isCrowded ? max(1 - entropy, least) : entropy }
        let every = max(1, (pairs.count + Self.pointLimit - 1) / Self.pointLimit)
        let points = stride(from: 0, to: pairs.count, by: every).map { Plot.Point(place(pairs[$0].x), pairs[$0].y) }
        let correlation = Correlation(pairs)
        let r = correlation.r.map { NumberText.fixed($0, 3) } ?? "undefined"
        let crowded = isCrowded ? " An E that single precision cannot tell from 1 stands at the right edge." : ""
        let shown = every > 1 ? " One point in \(every) is drawn." : ""
        let plot = Plot(
            title, x: isCrowded
                ? Plot.Axis("1 − E of \(owner), logarithmic: the ceiling is on the right", isLogarithmic: true, isReversed: true)
                : Plot.Axis("entropy E of \(owner)"),
            y: Plot.Axis(unit),
            series: [
                Plot.Series(
                    "Pearson r = \(r), n = \(correlation.count)", color: 0,
                    .points(points, radius: points.count > 3000 ? 1.3 : 2.3, opacity: points.count > 3000 ? 0.35 : 0.6)),
                Plot.Series(
                    "mean ± deviation", color: 1,
                    .errorBars(bins.bins.map { (place($0.meanX), $0.meanY, $0.meanY - $0.deviationY, $0.meanY + $0.deviationY) })),
            ])
        return NamedFigure(name: name, caption: caption + crowded + shown, figure: plot)
    }
}
