import DriftFormats
import DriftReport

extension MaskedDiagnostics: Diagnostics {
    package func write(to report: inout AnalysisReport) throws -> [String] {
        let figures = MaskedFigures(self)
        var lines: [String] = []
        report.page.section("Entropy and error of drawn tokens")
        if pairs.isEmpty {
            report.page.note("No errors: \(source).")
            lines.append("no errors of drawn tokens: \(source)")
        } else {
            report.page.paragraph(
                "E is the entropy of a hidden token's attention in the penultimate block of the decoder, in units of log R. Of \(source) some tokens are hidden, at random as in training, and drawn by the head; the error is the root mean square of drawn minus real, in the mean of \(Self.draws) draws. \(correlation(figures)).")
            report.page.table(["Hidden of \(configuration.data.tokens)", "Pearson r", "tokens"], figures.errors.map { name, correlation, _ in
                [name, correlation.r.map { NumberText.fixed($0, 3) } ?? "undefined", String(correlation.count)]
            })
            try report.show([figures.scatter, figures.shares].compactMap(\.self))
            lines.append(correlation(figures))
        }
        report.page.section("Entropy over the rounds")
        try report.show([figures.histogram])
        try report.show(figures.maps)
        try report.save(csv, "entropy.csv")
        try report.save(roundTable, "rounds.csv")
        try report.save(figures.histogramTable, "entropy_histogram.csv")
        try report.save(figures.binTable, "entropy_error_bins.csv")
        try report.save(figures.summaryTable, "summary.csv")
        return lines
    }

    private func correlation(_ figures: MaskedFigures) -> String {
        let texts = figures.errors.map { name, correlation, _ in
            "\(correlation.r.map { NumberText.fixed($0, 3) } ?? "undefined")" + (name == "all" ? "" : " (\(name))")
        }
        return "Entropy against error of drawn tokens: Pearson r = \(texts.first ?? "undefined") over n = \(pairs.count) hidden tokens; apart "
            + texts.dropFirst().joined(separator: ", ")
    }
}
