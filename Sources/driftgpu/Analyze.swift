import ArgumentParser
import DriftAR
import DriftGPU
import DriftReport

struct Analyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how a run went and what its entropies say.",
        discussion: """
            Writes report.html, which opens from disk and needs nothing else, and its figures as SVG and its numbers as CSV: the \
            curves of metrics.jsonl, the entropies of encoder and draft, entropy against the draft's prediction error, and maps \
            of the entropy over samples; of a model that draws in rounds or one token after the other entropy against the error of \
            drawn tokens, and maps over its rounds or how far a draft's guesses are off. Without a checkpoint there are only the curves, without metrics only the entropies.
            """)

    @ArgumentParser.Argument(help: ArgumentHelp("A run's folder.", valueName: "run")) var folder: String
    @Option(name: [.short, .long], help: "Folder to write to. Default: analysis, in the run's folder.") var output: String?
    @Option(help: ArgumentHelp(
        "Real images for a model that draws tokens. Default: those that the run was trained on.", valueName: "path")) var data: String?
    @Option(help: "Labels to look at: numbers and ranges, separated by commas, like 0-3,7. Default: all.") var labels: String?
    @Option(help: "Samples of each label that is shown.") var perLabel: Int = 3
    @Option(help: "Seed of their noise.") var seed: UInt64 = 0
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @OptionGroup(title: "Autoencoder") var vaeOptions: VAEOptions
    @OptionGroup var deviceOptions: DeviceOptions

    func run() throws {
        try reporting {
            let analysis = try RunAnalysis(folder, output: output, weights: weights)
            let diagnostics = try analysis.model.flatMap { saved in
                let chosen = try labels.map { try LabelList.parse($0, classes: saved.configuration.data.classes, names: saved.configuration.data.classNames) }
                let vae = try vaeOptions.weights()
                let device = try deviceOptions.open()
                return try analysis.diagnose(
                    on: device, data: data, autoencoder: vae.map { Autoencoder($0, device: device) },
                    .init(labels: chosen, perLabel: perLabel, seed: seed))
            }
            try analysis.write(diagnostics).forEach(Output.line)
            Output.line("\(analysis.folder)/\(RunAnalysis.reportName)")
        }
    }
}
