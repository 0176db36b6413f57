import DriftData
import DriftFormats
import DriftGPU
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
    private let found: Entropies?

    /// Where a model has entropies.
    private enum Entropies {
        case labels, rounds, tokens

        init?(_ generator: Generator) {
            switch generator.stage {
            case is CausalStage where generator.head.ofTokens != nil: self = .tokens
            case let stage where stage.masking != nil && generator.head.ofTokens != nil: self = .rounds
            case let stage where stage.hasEntropy && generator.head.sigma != nil: self = .labels
            default: return nil
            }
        }
    }

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
        found = try saved.flatMap { try Entropies($0.configuration.makeGenerator()) }
        model = found == nil ? nil : saved
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

    /// What there is to find out about the model; nil without one. `data`: where the real images are, if not where the settings say.
    package func diagnose(
        on device: Device, data: String? = nil, autoencoder: Autoencoder? = nil, _ settings: ModelDiagnostics.Settings
    ) throws -> (any Diagnostics)? {
        guard let model else { return nil }
        guard found != .labels else {
            return try ModelDiagnostics(model, device: device, autoencoder: autoencoder, settings)
        }
        var (images, source): (ImageSet?, String)
        do {
            let opened = try DataSource.open(model.configuration, path: data)
            let hasHeldOut = opened.heldOut.count > 0
            (images, source) = (hasHeldOut ? opened.heldOut : opened.training, hasHeldOut ? "the held-out images" : "the training images")
        } catch let error where data == nil {
            // The rest of the page needs no images.
            (images, source) = (nil, "\(error)")
        }
        if found == .tokens {
            return try CausalDiagnostics(model, device: device, images: images, source: source, settings)
        }
        return try MaskedDiagnostics(
            model, device: device, images: images, source: source, autoencoder: autoencoder, settings)
    }

    /// Writes everything; the page last, so that one that is there is complete. Returns a line for each thing found out.
    package func write(_ diagnostics: (any Diagnostics)?) throws -> [String] {
        let name = Files.name(of: run)
        var report = AnalysisReport(title: "\(name.isEmpty || name == "." ? run : name): analysis", folder: folder)
        var lines: [String] = []
        report.page.header(name.isEmpty || name == "." ? "Run" : name, subtitle(diagnostics))
        report.page.section("Training")
        if let curves, !curves.steps.isEmpty {
            let figures = CurveFigures(curves, configuration)
            if figures.hasForces {
                report.page.paragraph(
                    "Read the drift norm first. The drift loss scales the force of each radius to unit size, so its own value says nothing about convergence: it can rise while the samples get better.")
            }
            report.page.paragraph(phases(figures.freeze) + skipped(curves))
            try report.show(figures.figures)
            try report.save(curves.csv, "metrics.csv")
            lines.append("\(curves.steps.count) logged steps, the last is \(curves.steps.last ?? 0)")
        } else {
            report.page.note("No curves: the run's metrics.jsonl is missing or empty.")
            lines.append("no curves: metrics.jsonl is missing or empty")
        }
        if let diagnostics {
            lines += try diagnostics.write(to: &report)
        } else {
            report.page.section("Entropy")
            report.page.note("No entropies: \(lack).")
            lines.append("no entropies: \(lack)")
        }
        try report.finish(Self.reportName)
        return lines
    }

    // MARK: Sentences

    private func subtitle(_ diagnostics: (any Diagnostics)?) -> String {
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
}
