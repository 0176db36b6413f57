import ArgumentParser
import DriftAR
import DriftFormats

/// Another batch than a benchmark's usual one, which suits a CPU.
struct BatchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Labels in a step.", valueName: "n")) var labelsPerStep: Int?
    @Option(help: ArgumentHelp("Generated images in a step; a multiple of the labels in a step.", valueName: "n")) var batch: Int?

    /// Puts both into `configuration` and validates it.
    func apply(to configuration: inout Configuration) throws {
        if let labelsPerStep { configuration.run.labelsPerStep = labelsPerStep }
        try configuration.validate()
        let labels = configuration.labelsInStep
        if let batch {
            guard batch > 0, batch.isMultiple(of: labels) else {
                throw ConfigurationError("--batch \(batch): must be a multiple of the \(labels) labels of \(configuration.preset)")
            }
            configuration.run.samplesPerLabel = batch / labels
        }
        try configuration.validate()
    }
}
