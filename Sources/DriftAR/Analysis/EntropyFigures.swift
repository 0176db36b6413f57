import DriftFormats
import DriftReport
import Foundation

/// The figures and tables of a model's entropies.
struct EntropyFigures: Sendable {
    /// Target and draft: how often each entropy occurs.
    let targetHistogram: Histogram
    let draftHistogram: Histogram
    /// Over the largest sigma.
    let sigmaHistogram: Histogram
    let pairs: [ModelDiagnostics.Pair]
    /// Of the encoder with a label, without one, and of its single heads in the mean; of the draft.
    let target: ModelDiagnostics.Level
    let unconditional: ModelDiagnostics.Level
    let heads: ModelDiagnostics.Level
    let draft: ModelDiagnostics.Level
    let meanSigma: Double
    let errorBins: BinnedMeans
    let relativeBins: BinnedMeans
    private let diagnostics: ModelDiagnostics

    init(_ diagnostics: ModelDiagnostics) {
        self.diagnostics = diagnostics
        let (target, draft) = (diagnostics.values(\.entropy), diagnostics.values(\.draftEntropy))
        (self.target, self.draft) = (ModelDiagnostics.Level(target), ModelDiagnostics.Level(draft))
        unconditional = ModelDiagnostics.Level(Array(diagnostics.unconditional.entropy[diagnostics.positions]))
        heads = ModelDiagnostics.Level(diagnostics.values(\.headEntropy))
        let sigma = diagnostics.values(\.sigma)
        meanSigma = sigma.reduce(0, +) / Double(max(1, sigma.count))
        let least = (target + draft).min() ?? 0
        // A round number below all of them, so that bins begin at one.
        let low = min(0.9, (least * 10).rounded(.down) / 10)
        targetHistogram = Histogram(target, low: low, high: 1, bins: 40)
        draftHistogram = Histogram(draft, low: low, high: 1, bins: 40)
        let most = diagnostics.sigmaMax
        sigmaHistogram = Histogram(
            sigma.map { most > 0 ? $0 / most : 0 }, low: 0, high: 1 + 1e-6, bins: 40)
        pairs = diagnostics.pairs
        errorBins = BinnedMeans(pairs.map { ($0.entropy, $0.error) })
        relativeBins = BinnedMeans(pairs.map { ($0.entropy, $0.relativeError) })
    }

    func correlation(_ x: (ModelDiagnostics.Pair) -> Double, _ y: (ModelDiagnostics.Pair) -> Double) -> Correlation {
        Correlation(pairs.map { (x($0), y($0)) })
    }

    // MARK: Figures

    var spread: [NamedFigure] {
        [
            NamedFigure(
                name: "entropy_histogram",
                caption: "Position 1 is left out: its entropy is 0 by definition.",
                figure: Plot(
                    "Entropy of target and draft", x: Plot.Axis("entropy E"), y: Plot.Axis("share of positions"),
                    series: [
                        Plot.Series("target", color: 0, .bars(edges: targetHistogram.edges, heights: targetHistogram.shares)),
                        Plot.Series("draft", color: 1, .bars(edges: draftHistogram.edges, heights: draftHistogram.shares)),
                    ])),
            NamedFigure(
                name: "entropy_positions",
                caption: "Means over the labels; the bands reach from the lowest to the highest label. The target's E is that of the attention averaged over heads, the mean of single heads is what each is worth alone: heads that are each certain but disagree score high. An even attention over all earlier positions has E = 1.",
                figure: byPosition),
            NamedFigure(
                name: "sigma_histogram",
                caption: "How strong the prior's noise is, relative to the largest possible. All near 1: the entropy hardly tells positions apart.",
                figure: Plot(
                    "Noise of the prior", x: Plot.Axis("σ(E) / largest σ"), y: Plot.Axis("share of positions"),
                    series: [Plot.Series("", color: 2, .bars(edges: sigmaHistogram.edges, heights: sigmaHistogram.shares))])),
        ]
    }

    private var byPosition: Plot {
        let columns = diagnostics.positions
        let (target, heads, draft) = (
            diagnostics.labels.map(\.entropy), diagnostics.labels.map(\.headEntropy), diagnostics.labels.map(\.draftEntropy)
        )
        func line(_ rows: [[Double]], _ reduce: ([Double]) -> Double) -> [Plot.Point] {
            columns.map { column in Plot.Point(Double(column + 1), reduce(rows.map { $0[column] })) }
        }
        let mean = { (values: [Double]) in values.reduce(0, +) / Double(max(1, values.count)) }
        var series: [Plot.Series] = []
        let curves = [("target", target, 0), ("mean of single heads", heads, 2), ("draft", draft, 1)]
        for (_, rows, color) in curves {
            series.append(Plot.Series(
                "", color: color, .band(lower: line(rows) { $0.min() ?? 0 }, upper: line(rows) { $0.max() ?? 0 })))
        }
        for (name, rows, color) in curves { series.append(Plot.Series(name, color: color, .line(line(rows, mean)))) }
        let least = (target + heads + draft).flatMap { $0[columns] }.min() ?? 0
        let low = max(0, min(0.9, (least * 10).rounded(.down) / 10))
        return Plot(
            "Entropy by position", x: Plot.Axis("position r"),
            y: Plot.Axis("entropy E", range: (low, 1 + (1 - low) * 0.06)), series: series,
            rules: [Plot.Rule(value: 1, text: "", direction: .horizontal)])
    }

    var errors: [NamedFigure] {
        let caption = "A point for each label and position. The bars at the means are one standard deviation up and down within bins of equally many points."
        return [
            EntropyScatter(pairs.map { ($0.entropy, $0.error) }, bins: errorBins, entropy: "the target").figure(
                "entropy_error", "Prediction error against entropy", "‖draft − z‖", caption: caption),
            EntropyScatter(pairs.map { ($0.entropy, $0.relativeError) }, bins: relativeBins, entropy: "the target").figure(
                "entropy_relative_error", "Relative prediction error against entropy", "‖draft − z‖ / ‖z‖",
                caption: "The same over the length of z, which differs from position to position."),
        ]
    }

    var maps: NamedFigure {
        let configuration = diagnostics.configuration
        let rows = zip(diagnostics.labels, diagnostics.samples).map { label, samples in
            EntropyMaps.Row(name: label.name, entropy: label.entropy, samples: samples)
        }
        let others = diagnostics.labels.count - rows.count
        return NamedFigure(
            name: "entropy_maps",
            caption: "The target's entropy on the grid of tokens, alone and over the first sample, then \(diagnostics.settings.perLabel == 1 ? "that sample" : "\(diagnostics.settings.perLabel) samples"). The colours span the values that occur; the struck-out token is position 1."
                + (others > 0 ? " The other \(others) labels are in entropy.csv." : ""),
            figure: EntropyMaps(
                title: "Entropy over images", rows: rows, columns: max(1, configuration.data.width / max(1, configuration.data.patch))),
            isWide: true)
    }

    // MARK: Tables

    var histogramTable: CSV {
        var csv = CSV(["low", "high", "target", "draft"])
        for index in targetHistogram.counts.indices {
            csv.append([
                .number(targetHistogram.edges[index]), .number(targetHistogram.edges[index + 1]),
                .integer(targetHistogram.counts[index]), .integer(draftHistogram.counts[index]),
            ])
        }
        return csv
    }

    var binTable: CSV {
        var csv = CSV(["error", "entropy_low", "entropy_high", "count", "entropy_mean", "error_mean", "error_deviation"])
        for (name, bins) in [("absolute", errorBins), ("relative", relativeBins)] {
            for bin in bins.bins {
                csv.append([
                    .text(name), .number(bin.low), .number(bin.high), .integer(bin.count), .number(bin.meanX),
                    .number(bin.meanY), .number(bin.deviationY),
                ])
            }
        }
        return csv
    }

    /// The figures of the report's table: name, value.
    var summary: [(name: String, value: Double?)] {
        [
            ("labels", Double(diagnostics.labels.count)), ("positions", Double(diagnostics.positions.count)),
            ("target_entropy_mean", target.mean), ("target_at_ceiling", target.atCeiling),
            ("head_entropy_mean", heads.mean), ("heads_at_ceiling", heads.atCeiling), ("draft_entropy_mean", draft.mean),
            ("draft_at_ceiling", draft.atCeiling), ("sigma_mean", meanSigma),
            ("sigma_max", diagnostics.sigmaMax), ("pairs", Double(pairs.count)),
            ("pearson_target_error", correlation(\.entropy, \.error).r),
            ("pearson_target_relative_error", correlation(\.entropy, \.relativeError).r),
            ("pearson_draft_error", correlation(\.draftEntropy, \.error).r),
            ("pearson_draft_relative_error", correlation(\.draftEntropy, \.relativeError).r),
        ]
    }

    var summaryTable: CSV {
        var csv = CSV(["name", "value"])
        for item in summary { csv.append([.text(item.name), .number(item.value)]) }
        return csv
    }
}
