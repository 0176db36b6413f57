import DriftFormats
import DriftReport

extension CausalDiagnostics: Diagnostics {
    package func write(to report: inout AnalysisReport) throws -> [String] {
        report.page.section("Entropy and error of drawn tokens")
        guard !tokens.isEmpty else {
            report.page.note("No entropies: \(source).")
            return ["no entropies: \(source)"]
        }
        let (errors, guesses) = (errors, guesses)
        let draws = !errors.pairs.isEmpty
        var lines = [
            draws
                ? errors.text("Entropy against error of drawn tokens")
                : "no errors of drawn tokens: \(tokens[0].error == nil ? "the head draws a token in several steps" : "no image has a third token")"
        ]
        report.page.paragraph(
            "E is the entropy of a token's attention among the tokens before it in the penultimate block, in units of the log of their number; 1 where there are fewer than two. \(source.prefix(1).uppercased() + source.dropFirst()) are what tokens are drawn from. \(draws ? "The error is the root mean square of drawn minus real, in the mean of \(Self.draws) draws. " : "")\(lines[0]).")
        try report.show([errors.figure, byPosition, histogram].compactMap(\.self))
        if !guesses.pairs.isEmpty {
            lines.append(guesses.text("Draft's entropy against how far its guesses are off"))
            report.page.section("The draft")
            report.page.paragraph(
                "A guess is what the head draws from the draft's features where the token is drawn from the stage's, with the same noise. \(lines[1]).")
            report.page.table(
                ["Tolerance", "guesses within it"],
                zip(Self.tolerances, acceptance(Self.tolerances)).map { [NumberText.fixed($0, 2), NumberText.fixed(100 * $1, 1) + " %"] })
            try report.show([guesses.figure, acceptanceCurve].compactMap(\.self))
        }
        try report.save(csv, "entropy.csv")
        try report.save(positionTable, "positions.csv")
        return lines
    }

    private static let tolerances = [0.02, 0.05, 0.1, 0.2, 0.3]

    // MARK: Figures

    /// Entropies and what they may tell.
    struct Comparison {
        let pairs: [(x: Double, y: Double)]
        let figure: NamedFigure?

        func text(_ what: String) -> String {
            let correlation = Correlation(pairs)
            return "\(what): Pearson r = \(correlation.r.map { NumberText.fixed($0, 3) } ?? "undefined") over n = \(correlation.count) tokens"
        }
    }

    private func comparison(
        _ pairs: [(x: Double, y: Double)], _ owner: String, _ name: String, _ title: String, _ unit: String, caption: String
    ) -> Comparison {
        let figure = pairs.isEmpty ? nil : EntropyScatter(pairs, bins: BinnedMeans(pairs), entropy: owner).figure(name, title, unit, caption: caption)
        return Comparison(pairs: pairs, figure: figure)
    }

    /// Tokens with fewer than two before them have no entropy that could tell anything.
    var errors: Comparison {
        comparison(
            tokens.compactMap { token in token.position > 1 ? token.error.map { (token.entropy, $0) } : nil }, "a token", "entropy_error",
            "Error of drawn tokens against entropy", "RMS of drawn − real",
            caption: "A point for each token from an image's third on, its error the mean of \(Self.draws) draws. The bars at the means are one standard deviation up and down within bins of equally many points.")
    }

    var guesses: Comparison {
        comparison(
            tokens.compactMap { token in
                guard token.position > 1, let entropy = token.draftEntropy, let distance = token.distance else { return nil }
                return (entropy, distance)
            }, "the draft", "draft_distance", "How far guesses are off against the draft's entropy", "RMS of guess − drawn",
            caption: "A point for each token from an image's third on, the mean of \(Self.draws) draws with the same noise on both sides.")
    }

    private var byPosition: NamedFigure {
        let means = positions
        func line(_ name: String, _ color: Int, _ value: (Position) -> Double?) -> Plot.Series? {
            let points = means.compactMap { mean in value(mean).map { Plot.Point(Double(mean.position + 1), $0) } }
            return points.isEmpty ? nil : Plot.Series(name, color: color, .line(points))
        }
        return NamedFigure(
            name: "positions", caption: "Means over all images. Tokens are drawn in this order, row by row.",
            figure: Plot(
                "By position", x: Plot.Axis("position"), y: Plot.Axis("entropy; RMS"),
                series: [
                    line("entropy E", 0, \.entropy), line("error of drawn tokens", 1, \.error), line("draft's entropy", 2, \.draftEntropy),
                    line("draft's guess off", 3, \.distance),
                ].compactMap(\.self)))
    }

    private var histogram: NamedFigure {
        let told = tokens.filter { $0.position > 1 }
        let sides = [("stage", told.map(\.entropy)), ("draft", told.compactMap(\.draftEntropy))]
        return NamedFigure(
            name: "entropy_histogram", caption: "Of tokens from an image's third on.",
            figure: Plot(
                "Entropies", x: Plot.Axis("entropy E"), y: Plot.Axis("share of tokens"),
                series: sides.enumerated().compactMap { index, side in
                    guard !side.1.isEmpty else { return nil }
                    let histogram = Histogram(side.1, low: 0, high: 1, bins: 40)
                    let points = histogram.shares.enumerated().map { place, share in
                        Plot.Point((histogram.edges[place] + histogram.edges[place + 1]) / 2, share)
                    }
                    return Plot.Series(side.0, color: index, .line(points))
                }))
    }

    private var acceptanceCurve: NamedFigure {
        let tolerances = (0...50).map { Double($0) / 100 }
        return NamedFigure(
            name: "draft_acceptance", caption: "Of single guesses, each from real tokens before it.",
            figure: Plot(
                "Guesses within a tolerance", x: Plot.Axis("tolerance"), y: Plot.Axis("share of guesses"),
                series: [Plot.Series("draft", color: 2, .line(zip(tolerances, acceptance(tolerances)).map { Plot.Point($0, $1) }))]))
    }

    // MARK: Tables

    /// Means over the images.
    struct Position {
        let position: Int
        let entropy: Double
        let error: Double?
        let draftEntropy: Double?
        let distance: Double?
    }

    var positions: [Position] {
        (0..<configuration.data.tokens).map { position in
            let own = tokens.filter { $0.position == position }
            func mean(_ values: [Double]) -> Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(values.count) }
            return Position(
                position: position, entropy: mean(own.map(\.entropy)) ?? 0, error: mean(own.compactMap(\.error)),
                draftEntropy: mean(own.compactMap(\.draftEntropy)), distance: mean(own.compactMap(\.distance)))
        }
    }

    private var positionTable: CSV {
        var csv = CSV(["position", "entropy", "error", "draft_entropy", "draft_distance"])
        for mean in positions {
            csv.append([
                .integer(mean.position + 1), .number(mean.entropy), .number(mean.error), .number(mean.draftEntropy), .number(mean.distance),
            ])
        }
        return csv
    }
}
