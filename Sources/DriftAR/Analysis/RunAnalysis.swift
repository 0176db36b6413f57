import DriftFormats
import DriftReport
import Foundation

/// The diagnostics of a run in a folder: report.html, an SVG for each figure, a CSV for each table.
public struct RunAnalysis: Sendable {
    /// The run's folder.
    public let run: String
    /// Where everything is written.
    public let folder: String
    /// Nil where the run has no metrics.jsonl.
    let curves: TrainingCurves?
    /// The newest checkpoint; nil where there is none, or where its model has no entropies.
    public let model: SavedModel?
    private let weights: String
    private let configuration: Configuration?
    /// Why there is no model.
    private let lack: String

    public static let reportName = "report.html"

    /// Opens what `run` has and makes the folder. `output`: by default `analysis` in the run. `weights`: `ema` or `model`.
    /// Throws a line that says what is missing where there is nothing to analyse, and where what is there is damaged.
    public init(_ run: String, output: String? = nil, weights: String = "ema") throws {
        guard Files.exists(run) else {
            throw DataError("no such folder", at: run, fix: "name a run's folder, like out/digits")
        }
        guard Files.isFolder(run) else { throw DataError("not a folder", at: run, fix: "name a run's folder, like out/digits") }
        let place = RunFolder(run)
        curves = Files.exists(place.metricsPath) ? try TrainingCurves(place.metricsPath) : nil
        let saved = try place.checkpoints.latest() == nil ? nil : SavedModel(run, weights: weights)
        let generator = try saved?.configuration.makeGenerator()
        let hasEntropy = generator?.stage.hasEntropy == true && generator?.head.sigma != nil
        model = hasEntropy ? saved : nil
        lack = saved == nil ? "the run has no complete checkpoint yet" : "no entropy sets the prior of its images"
        let isLogged = curves.map { !$0.steps.isEmpty } ?? false
        guard isLogged || model != nil else {
            throw DataError(
                "nothing to analyse: metrics.jsonl has no step and there is no complete checkpoint of a model with entropies", at: run,
                fix: "train first: driftgpu train --output \(run.shellQuoted)")
        }
        configuration = try saved?.configuration ?? (Files.exists(place.configurationPath) ? place.configuration() : nil)
        (self.run, self.weights) = (run, weights)
        folder = output ?? Files.join(run, "analysis")
        try Files.makeFolder(folder)
    }

    /// Writes everything; the page last, so that one that is there is complete. Returns a line for each thing found out.
    public func write(_ diagnostics: ModelDiagnostics?) throws -> [String] {
        let name = Files.name(of: run)
        var page = HTMLPage(title: "\(name.isEmpty || name == "." ? run : name): analysis")
        var lines: [String] = []
        page.header(name.isEmpty || name == "." ? "Run" : name, subtitle(diagnostics))
        var files: [String] = []
        func save(_ csv: CSV, _ name: String) throws {
            try AtomicFile.write(text: csv.text, to: Files.join(folder, name))
            files.append(name)
        }
        page.section("Training")
        if let curves, !curves.steps.isEmpty {
            let figures = CurveFigures(curves, configuration)
            page.paragraph(
                "Read the drift norm first. The drift loss scales the force of each radius to unit size, so its own value says nothing about convergence: it can rise while the samples get better.")
            page.paragraph(phases(figures.freeze) + skipped(curves))
            try show(figures.figures, on: &page, &files)
            try save(curves.csv, "metrics.csv")
            lines.append("\(curves.steps.count) logged steps, the last is \(curves.steps.last ?? 0)")
        } else {
            page.note("No curves: the run's metrics.jsonl is missing or empty.")
            lines.append("no curves: metrics.jsonl is missing or empty")
        }
        if let diagnostics {
            let figures = EntropyFigures(diagnostics)
            try add(figures, of: diagnostics, to: &page, &files)
            try save(diagnostics.csv, "entropy.csv")
            try save(figures.histogramTable, "entropy_histogram.csv")
            try save(figures.binTable, "entropy_error_bins.csv")
            try save(figures.summaryTable, "summary.csv")
            lines.append(ceiling(figures, of: diagnostics))
            lines.append(correlation(figures))
        } else {
            page.section("Entropy")
            page.note("No entropies: \(lack).")
            lines.append("no entropies: \(lack)")
        }
        page.section("Files")
        page.paragraph("The numbers and figures of this page lie beside it.")
        page.files(files.filter { $0.hasSuffix(".csv") } + files.filter { $0.hasSuffix(".svg") })
        try AtomicFile.write(text: page.text, to: Files.join(folder, Self.reportName))
        return lines
    }

    /// Writes the figures, and puts them on the page.
    private func show(_ figures: [NamedFigure], on page: inout HTMLPage, _ files: inout [String]) throws {
        page.figures(try figures.map { figure in
            let drawing = try figure.figure.drawing()
            try AtomicFile.write(Array(drawing.document.utf8), to: Files.join(folder, figure.name + ".svg"), synced: false)
            files.append(figure.name + ".svg")
            return (figure, drawing)
        })
    }

    private func add(
        _ figures: EntropyFigures, of diagnostics: ModelDiagnostics, to page: inout HTMLPage, _ files: inout [String]
    ) throws {
        page.section("Entropy")
        page.paragraph(
            "E is the entropy of the encoder's attention at a position, in units of its largest value there; it sets the noise of the prior, σ(E). It depends on the label alone. The entropy loss pushes it to its ceiling of 1, and so σ to the largest σ.")
        page.note(ceiling(figures, of: diagnostics) + ".")
        page.table(["Entropy E", "mean", "at \(ModelDiagnostics.ceiling) or more"], [
            ("Target", figures.target), ("Target without a label", figures.unconditional),
            ("Target, mean of single heads", figures.heads), ("Draft", figures.draft),
        ].map { name, level in
            [name, NumberText.fixed(level.mean, 4), NumberText.fixed(level.atCeiling * 100, 1) + " %"]
        })
        try show(figures.spread, on: &page, &files)
        page.section("Entropy and prediction error")
        let shift = diagnostics.draftShift
        page.paragraph(
            "How far what the draft proposes for a position is from the encoder's z there."
                + (shift == 0 ? "" : " The draft's output at r − \(shift) is its proposal for r.")
                + " \(correlation(figures)). Position 1 is left out: its entropy is 0 by definition, and r would say little but that.")
        page.table(["Pearson r", "absolute error", "relative error"], [
            ["Entropy of the target"] + pair(figures, \.entropy), ["Entropy of the draft"] + pair(figures, \.draftEntropy),
        ])
        try show(figures.errors, on: &page, &files)
        page.section("Entropy maps")
        try show([figures.maps], on: &page, &files)
    }

    // MARK: Sentences

    private func subtitle(_ diagnostics: ModelDiagnostics?) -> String {
        var parts: [String] = []
        if let model { parts.append("checkpoint \(Files.name(of: Files.parent(of: model.file.path))), weights \(weights)") }
        if let configuration {
            parts.append("preset \(configuration.preset)")
            parts.append("\(configuration.data.classes) classes, \(configuration.data.tokens) tokens of \(configuration.data.tokenWidth) values, width \(configuration.network.embed)")
            parts.append("groups of \(configuration.loss.groups.rawValue), seed \(configuration.run.seed)")
        }
        if let diagnostics { parts.append(diagnostics.device) }
        return parts.joined(separator: " · ")
    }

    private func phases(_ freeze: Double?) -> String {
        guard let freeze else { return "The figures show one phase of training only." }
        return "Phase I ends at step \(NumberText.fixed(freeze, 0)), the dashed line: then the encoder and the draft are frozen and the drift loss alone is left."
    }

    private func skipped(_ curves: TrainingCurves) -> String {
        guard let count = curves.last("skipped"), count > 0 else { return "" }
        return " \(NumberText.fixed(count, 0)) steps were skipped because their loss or gradient was not finite."
    }

    private func ceiling(_ figures: EntropyFigures, of diagnostics: ModelDiagnostics) -> String {
        let most = diagnostics.sigmaMax
        return "\(NumberText.fixed(figures.target.atCeiling * 100, 1)) % of the positions are at the ceiling (E of \(ModelDiagnostics.ceiling) or more), the mean is \(NumberText.fixed(figures.target.mean, 4)), that of single heads \(NumberText.fixed(figures.heads.mean, 4)); σ is \(NumberText.fixed(figures.meanSigma, 4)) in the mean, at most \(NumberText.short(most))"
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
