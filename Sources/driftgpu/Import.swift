import ArgumentParser
import DriftAR

extension ImportOptions.Drawn: ExpressibleByArgument {}
extension CausalStageSettings.Rotary: ExpressibleByArgument {}

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take over weights from PyTorch or safetensors.",
        discussion: "Reads .pth, .pt and .ckpt files of torch.save without running anything in them, and safetensors. Sharded weights are named by their folder or index. Drift-AR, TransDiff, DiT, MAR and causal models become a folder for sample --checkpoint (or one .safetensors file), with the configuration read off the shapes; a KL autoencoder, also under diffusers' names, becomes one .safetensors file. What was assumed is said; tensors that are missing, misshapen or too many are listed.")

    enum Kind: ExpressibleByArgument {
        case auto
        case of(WeightImport.Kind)

        init?(argument: String) {
            if argument == "auto" {
                self = .auto
            } else if let kind = WeightImport.Kind(rawValue: argument) {
                self = .of(kind)
            } else {
                return nil
            }
        }

        static let allValueStrings = ["auto"] + WeightImport.Kind.allCases.map(\.rawValue)
        var defaultValueDescription: String { "auto" }
        var known: WeightImport.Kind? { if case .of(let kind) = self { kind } else { nil } }
    }

    @Argument(help: "File to read, index of shards, or folder of either.") var file: String
    @Option(help: "Part of the file to take, like model, model_ema or state_dict. auto: model and, where there is one, model_ema.")
    var key: String = "auto"
    @Option(help: ArgumentHelp("What stands in front of the tensors' names there, like model. Default: whatever does.", valueName: "name"))
    var prefix: String?
    @Option(help: "What the weights are of; auto: told by their names.") var kind: Kind = .auto
    @Option(help: ArgumentHelp("Attention heads, where the file does not say.", valueName: "n")) var heads: Int?
    @Option(help: ArgumentHelp("Side of the patch that makes a token. Default: the file's, else 1.", valueName: "n")) var patch: Int?
    @Option(help: ArgumentHelp("What the model draws: pixels or latents. Default: pixels of 1 or 3 channels, latents of others.", valueName: "kind"))
    var draws: ImportOptions.Drawn?
    @Option(help: ArgumentHelp("Factor from an autoencoder's latents to the model's. Default: 0.18215 of 4 channels, else 0.2325.", valueName: "x"))
    var latentScale: Float?
    @Option(help: ArgumentHelp("Rotary position embedding of dit, where the file does not say.", valueName: "bool")) var rope: Bool?
    @Option(help: "How positions turn queries and keys of a causal model, where the file does not say: by their number (line) or by row and column (grid).")
    var rotary: CausalStageSettings.Rotary?
    @Option(help: ArgumentHelp("Base of a causal model's rotary positions, where the file does not say.", valueName: "x")) var rotaryBase: Double?
    @Flag(help: "Take what fits, whatever else is missing, misshapen or too much.") var allowMissing = false
    @Flag(help: "Replace files that exist.") var overwrite = false
    @Option(name: [.short, .long], help: "Folder or .safetensors file to write.") var output: String

    func run() throws {
        try reporting {
            var options = ImportOptions(heads: heads, patch: patch)
            (options.draws, options.latentScale, options.rope) = (draws, latentScale, rope)
            (options.rotary, options.rotaryBase) = (rotary, rotaryBase)
            let weights = try WeightImport(
                WeightFile.open(file), key: key == "auto" ? nil : key, prefix: prefix,
                kind: kind.known, options: options)
            for line in weights.report { Output.line(line) }
            try weights.check(allowMissing: allowMissing)
            let written = try weights.write(to: output, overwrite: overwrite)
            Output.line("wrote " + written.joined(separator: ", "))
        }
    }
}
