import DriftFormats
import DriftGPU
import Foundation

/// Weights and configuration that `--checkpoint` names: a run's folder (its newest checkpoint), a checkpoint's folder, or a
/// safetensors file written by driftgpu.
public struct SavedModel: Sendable {
    /// What may be changed is how the model draws; the sizes are the weights'.
    public var configuration: Configuration
    public let file: SafeTensorsFile

    /// The weights that `path` names: a run's folder, a checkpoint's folder or a file. `weights`: `ema` or `model`; it
    /// decides only where `path` holds both.
    public static func file(_ path: String, weights: String = "ema") throws -> SafeTensorsFile {
        let name: String
        switch weights {
        case "ema": name = RunFolder.File.ema
        case "model": name = RunFolder.File.model
        default: throw ConfigurationError("weights \(weights): unknown; use ema or model")
        }
        guard Files.exists(path) else {
            throw DataError("no such file or folder", at: path, fix: "name a run's folder (out/digits), a checkpoint's folder or a .safetensors file")
        }
        let target: String
        if Files.exists(path + "/checkpoints") {
            let folder = RunFolder(path).checkpoints
            guard let step = try folder.latest() else {
                throw DataError("no complete checkpoint", at: folder.path, fix: "train first: driftgpu train")
            }
            target = try folder.open(step: step, only: [name]).folder + "/" + name
        } else if Files.exists(path + "/" + name) {
            target = path + "/" + name
        } else {
            target = path
        }
        return try WeightFile.safeTensors(target)
    }

    /// `weights`: `ema` or `model`; it decides only where `path` holds both.
    public init(_ path: String, weights: String = "ema") throws {
        file = try Self.file(path, weights: weights)
        guard let text = file.metadata[RunFolder.configurationKey] else {
            throw DataError(
                "carries no configuration of driftgpu", at: file.path,
                fix: "name a checkpoint that driftgpu train wrote, or take these weights over with driftgpu import")
        }
        configuration = try Configuration().merging(json: Data(text.utf8), from: file.path)
        try configuration.validate()
    }

    /// The model on a device, its weights in the buffer `ema`.
    public func load(into memory: DeviceMemory) throws -> ModelState {
        let state = ModelState(try configuration.makeGenerator(), memory: memory)
        try check(state.model.declarations)
        try state.load(file, into: "ema")
        return state
    }

    /// Throws where the file lacks parameters, as after an import of a part of the model.
    private func check(_ declarations: [ParameterDeclaration]) throws {
        let missing = declarations.map(\.name).filter { file.entries[$0] == nil }
        guard !missing.isEmpty else { return }
        let shown = missing.prefix(3).joined(separator: ", ") + (missing.count > 3 ? ", ..." : "")
        throw DataError("it lacks \(missing.count) of the model's \(declarations.count) tensors (\(shown))", at: file.path,
                        fix: "train them first: driftgpu train --init \(file.path), with the settings of its config.json by --config")
    }
}
