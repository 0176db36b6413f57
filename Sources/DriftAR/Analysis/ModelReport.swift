import DriftFormats
import DriftReport

extension ModelDiagnostics: Diagnostics {
    package func write(to report: inout AnalysisReport) throws -> [String] {
        let figures = EntropyFigures(self)
        report.page.section("Entropy")
        report.page.paragraph(
            "E is the entropy of the encoder's attention at a position, in units of its largest value there; it sets the noise of the prior, σ(E). It depends on the label alone. The entropy loss pushes it to its ceiling of 1, and so σ to the largest σ.")
        report.page.note(ceiling(figures) + ".")
        report.page.table(["Entropy E", "mean", "at \(Self.ceiling) or more"], [
            ("Target", figures.target), ("Target without a label", figures.unconditional),
            ("Target, mean of single heads", figures.heads), ("Draft", figures.draft),
        ].map { name, level in
            [name, NumberText.fixed(level.mean, 4), NumberText.fixed(level.atCeiling * 100, 1) + " %"]
        })
        try report.show(figures.spread)
        report.page.section("Entropy and prediction error")
        report.page.paragraph(
            "How far what the draft proposes for a position is from the encoder's z there."
                + (draftShift == 0 ? "" : " The draft's output at r − \(draftShift) is its proposal for r.")
                + " \(correlation(figures)). Position 1 is left out: its entropy is 0 by definition, and r would say little but that.")
        report.page.table(["Pearson r", "absolute error", "relative error"], [
            ["Entropy of the target"] + pair(figures, \.entropy), ["Entropy of the draft"] + pair(figures, \.draftEntropy),
        ])
        try report.show(figures.errors)
        report.page.section("Entropy maps")
        try report.show([figures.maps])
        try report.save(csv, "entropy.csv")
        try report.save(figures.histogramTable, "entropy_histogram.csv")
        try report.save(figures.binTable, "entropy_error_bins.csv")
        try report.save(figures.summaryTable, "summary.csv")
        return [ceiling(figures), correlation(figures)]
    }

    // MARK: Sentences

    private func ceiling(_ figures: EntropyFigures) -> String {
        return "\(NumberText.fixed(figures.target.atCeiling * 100, 1)) % of the positions are at the ceiling (E of \(Self.ceiling) or more), the mean is \(NumberText.fixed(figures.target.mean, 4)), that of single heads \(NumberText.fixed(figures.heads.mean, 4)); σ is \(NumberText.fixed(figures.meanSigma, 4)) in the mean, at most \(NumberText.short(sigmaMax))"
    }

    private func correlation(_ figures: EntropyFigures) -> String {
        let correlation = figures.correlation(\.entropy, \.error)
        guard let r = correlation.r else { return "Pearson's r is undefined over n = \(correlation.count) pairs: one side does not vary" }
        return "Entropy against prediction error: Pearson r = \(NumberText.fixed(r, 3)) over n = \(correlation.count) pairs of label and position"
    }

    private func pair(_ figures: EntropyFigures, _ entropy: (ModelDiagnostics.Pair) -> Double) -> [String] {
        [figures.correlation(entropy, \.error), figures.correlation(entropy, \.relativeError)].map { correlation in
            correlation.r.map { NumberText.fixed($0, 3) } ?? "undefined"
        }
    }
}
