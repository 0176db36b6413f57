import ArgumentParser
import DriftAR

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take over weights from PyTorch or safetensors.",
        discussion: "Reads .pth, .pt and .ckpt files of torch.save without running anything in them, and safetensors. Drift-AR and TransDiff become a folder for sample --checkpoint (or one .safetensors file), with the configuration read off the shapes; a KL autoencoder becomes one .safetensors file. Tensors that are missing, misshapen or too many are listed.")

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case auto
        case driftAR = "drift-ar"
        case transDiff = "transdiff"
        case kl16
    }

    @Argument(help: "File to read.") var file: String
    @Option(help: "Part of the file to take, like model, model_ema or state_dict. auto: model and, where there is one, model_ema.")
    var key: String = "auto"
    @Option(help: "What the weights are of; auto: told by their names.") var kind: Kind = .auto
    @Option(help: ArgumentHelp("Attention heads, where the file does not say.", valueName: "n")) var heads: Int?
    @Option(help: ArgumentHelp("Side of the patch that makes a token. Default: the file's, else 1.", valueName: "n")) var patch: Int?
    @Flag(help: "Take what fits, whatever else is missing, misshapen or too much.") var allowMissing = false
    @Flag(help: "Replace files that exist.") var overwrite = false
    @Option(name: [.short, .long], help: "Folder or .safetensors file to write.") var output: String

    func run() throws {
        try reporting {
            let weights = try WeightImport(
                WeightFile.open(file), key: key == "auto" ? nil : key, kind: WeightImport.Kind(rawValue: kind.rawValue),
                options: ImportOptions(heads: heads, patch: patch))
            for line in weights.report { Output.line(line) }
            try weights.check(allowMissing: allowMissing)
            let written = try weights.write(to: output, overwrite: overwrite)
            Output.line("wrote " + written.joined(separator: ", "))
        }
    }
}
