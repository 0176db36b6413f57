import DriftFormats
import DriftReport

/// The figures and tables of a model that draws in rounds.
struct MaskedFigures: Sendable {
    let diagnostics: MaskedDiagnostics
    /// Of the shown rounds: how often each entropy occurs among what is hidden.
    let histograms: [(round: Int, histogram: Histogram)]
    /// Of the pairs: all, then those of each number of hidden tokens.
    let errors: [(name: String, correlation: Correlation, bins: BinnedMeans)]
    /// Entropies of hidden tokens of real images.
    let level: ModelDiagnostics.Level

    /// Rounds with a histogram, and those of a map, at most.
    private static let (histogramLimit, mapLimit) = (4, 8)
    /// Drawings with maps, at most.
    private static let drawingLimit = 6

    init(_ diagnostics: MaskedDiagnostics) {
        self.diagnostics = diagnostics
        let rounds = diagnostics.drawings.first?.rounds.count ?? 0
        let byRound = (0..<rounds).map { round in diagnostics.drawings.flatMap { $0.rounds[round].entropy.compactMap(\.self) } }
        let least = byRound.flatMap(\.self).filter(\.isFinite).min() ?? 0
        // A round number below all of them, so that bins begin at one.
        let low = min(0.9, (least * 10).rounded(.down) / 10)
        histograms = Self.spread(rounds, limit: Self.histogramLimit).map { ($0, Histogram(byRound[$0], low: low, high: 1, bins: 40)) }
        let pairs = diagnostics.pairs
        errors = ([nil] + diagnostics.hidden.map { $0 }).map { (count: Int?) in
            let part = pairs.filter { count == nil || $0.hidden == count }.map { ($0.entropy, $0.error) }
            return (count.map { "\($0) hidden" } ?? "all", Correlation(part), BinnedMeans(part))
        }
        level = ModelDiagnostics.Level(pairs.map(\.entropy))
    }

    /// So many of 0 ..< count, evenly, with the first and the last.
    private static func spread(_ count: Int, limit: Int) -> [Int] {
        guard count > limit else { return Array(0..<count) }
        return (0..<limit).map { $0 * (count - 1) / (limit - 1) }
    }

    // MARK: Figures

    var scatter: NamedFigure? {
        guard let all = errors.first, !diagnostics.pairs.isEmpty else { return nil }
        return EntropyScatter(diagnostics.pairs.map { ($0.entropy, $0.error) }, bins: all.bins, entropy: "a hidden token").figure(
            "entropy_error", "Error of drawn tokens against entropy", "RMS of drawn − real",
            caption: "A point for each hidden token of the real images, its error the mean of \(MaskedDiagnostics.draws) draws. The bars at the means are one standard deviation up and down within bins of equally many points.")
    }

    /// The binned means of each number of hidden tokens.
    var shares: NamedFigure? {
        guard !diagnostics.pairs.isEmpty else { return nil }
        return NamedFigure(
            name: "entropy_error_shares",
            caption: "Means within bins of equally many tokens, apart for each number of tokens that are hidden of an image: how much is known moves entropy and error alike.",
            figure: Plot(
                "Error against entropy by how much is hidden", x: Plot.Axis("entropy E of a hidden token"), y: Plot.Axis("RMS of drawn − real"),
                series: errors.dropFirst().enumerated().map { index, item in
                    Plot.Series(item.name, color: index, .line(item.bins.bins.map { Plot.Point($0.meanX, $0.meanY) }))
                }))
    }

    var histogram: NamedFigure {
        NamedFigure(
            name: "entropy_histogram", caption: "Of the tokens that are still hidden before a round, in the mean over the drawings.",
            figure: Plot(
                "Entropy of hidden tokens by round", x: Plot.Axis("entropy E"), y: Plot.Axis("share of hidden tokens"),
                series: histograms.enumerated().map { index, item in
                    let histogram = item.histogram
                    let points = zip(histogram.edges.indices, histogram.shares).map { place, share in
                        Plot.Point((histogram.edges[place] + histogram.edges[place + 1]) / 2, share)
                    }
                    return Plot.Series("round \(item.round + 1)", color: index, .line(points))
                }))
    }

    var maps: [NamedFigure] {
        var figures = [
            map("entropy_rounds", "Entropy over the rounds", "E", "The entropy of each token that is still hidden before a round, and what was drawn so far.") { $0 }
        ]
        if let sigma = diagnostics.sigma {
            figures.append(map("sigma_rounds", "Noise of the prior over the rounds", "σ", "The same with σ(E), the deviation of the noise a token is drawn from.", sigma.deviation))
        }
        return figures
    }

    private func map(
        _ name: String, _ title: String, _ unit: String, _ caption: String, _ value: (Double) -> Double
    ) -> NamedFigure {
        let (configuration, drawings) = (diagnostics.configuration, diagnostics.drawings)
        let rounds = Self.spread(drawings.first?.rounds.count ?? 0, limit: Self.mapLimit)
        // One of each label where there are enough labels.
        let every = max(1, drawings.count / Self.drawingLimit)
        let shown = stride(from: 0, to: drawings.count, by: every).prefix(Self.drawingLimit).map { drawings[$0] }
        let rows = shown.map { drawing in
            RoundMaps.Row(
                name: String(drawing.label),
                rounds: rounds.map { (drawing.rounds[$0].picture, drawing.rounds[$0].entropy.map { $0.map(value) }) },
                result: drawing.result)
        }
        return NamedFigure(
            name: name, caption: caption + " The colours span the values that occur. Every drawing is in rounds.csv.",
            figure: RoundMaps(
                title: title, unit: unit, names: rounds.map { "round \($0 + 1)" }, rows: rows,
                columns: max(1, configuration.data.width / max(1, configuration.data.patch))),
            isWide: true)
    }

    // MARK: Tables

    var histogramTable: CSV {
        var csv = CSV(["low", "high"] + histograms.map { "round_\($0.round + 1)" })
        for index in histograms.first?.histogram.counts.indices ?? 0..<0 {
            let edges = histograms[0].histogram.edges
            csv.append([.number(edges[index]), .number(edges[index + 1])] + histograms.map { .integer($0.histogram.counts[index]) })
        }
        return csv
    }

    var binTable: CSV {
        var csv = CSV(["pairs", "entropy_low", "entropy_high", "count", "entropy_mean", "error_mean", "error_deviation"])
        for (name, _, bins) in errors {
            for bin in bins.bins {
                csv.append([
                    .text(name), .number(bin.low), .number(bin.high), .integer(bin.count), .number(bin.meanX), .number(bin.meanY),
                    .number(bin.deviationY),
                ])
            }
        }
        return csv
    }

    var summaryTable: CSV {
        var csv = CSV(["name", "value"])
        csv.append([.text("rounds"), .integer(diagnostics.drawings.first?.rounds.count ?? 0)])
        csv.append([.text("pairs"), .integer(diagnostics.pairs.count)])
        csv.append([.text("entropy_mean"), .number(diagnostics.pairs.isEmpty ? nil : level.mean)])
        csv.append([.text("entropy_at_ceiling"), .number(diagnostics.pairs.isEmpty ? nil : level.atCeiling)])
        for (name, correlation, _) in errors {
            csv.append([.text("pearson_error" + (name == "all" ? "" : "_" + name.replacing(" ", with: "_"))), .number(correlation.r)])
        }
        return csv
    }
}
