import ArgumentParser
import DriftAR

extension WeightExport.ElementType: ExpressibleByArgument {}

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model's weights for PyTorch.",
        discussion: "One safetensors file with the names and shapes of the reference's state_dict; the configuration is in its metadata.")

    @Option(help: "A run's folder, a checkpoint's folder, or a .safetensors file.") var checkpoint: String
    @Option(help: "Weights: ema or model.") var weights: String = "ema"
    @Option(help: "Element type to round to.") var dtype: WeightExport.ElementType = .f32
    @Flag(help: "Replace a file that exists.") var overwrite = false
    @Option(name: [.short, .long], help: "The .safetensors file to write.") var output: String

    func run() throws {
        try reporting {
            let saved = try SavedModel(checkpoint, weights: weights)
            let unknown = try WeightExport.write(saved, as: dtype, to: output, overwrite: overwrite)
            Output.line("wrote \(output)")
            if !unknown.isEmpty {
                Output.line("the reference has no \(unknown.joined(separator: ", ")): load with strict=False")
            }
        }
    }
}
