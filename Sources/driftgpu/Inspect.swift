import ArgumentParser
import DriftAR
import DriftFormats

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a file of weights holds.",
        discussion: "Tensors with types and shapes, parameters by part of the model, and metadata, of safetensors and of PyTorch files. Nothing in a PyTorch file is run.")

    @Argument(help: "A .safetensors, .pth, .pt or .ckpt file, a run's folder, or a folder of such files.") var path: String
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        try reporting {
            let outlines = try WeightOutline.all(at: path)
            if json {
                Output.line(JSON.object([JSON.Member("files", .array(outlines.map(\.json)))]).text)
            } else {
                for outline in outlines { Output.line(outline.text.joined(separator: "\n")) }
            }
        }
    }
}
