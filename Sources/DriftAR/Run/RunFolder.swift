import DriftData
import DriftFormats
import DriftGPU
import Foundation

/// The folder of a run: config.json, metrics.jsonl, checkpoints/, samples/.
public struct RunFolder: Sendable {
    public let path: String
    public let checkpoints: CheckpointFolder

    public init(_ path: String, keep: Int = 3) {
        self.path = path
        checkpoints = CheckpointFolder(path + "/checkpoints", keep: keep)
    }

    public var configurationPath: String { path + "/config.json" }
    public var metricsPath: String { path + "/metrics.jsonl" }
    public var samplesPath: String { path + "/samples" }

    /// Names of the files of a checkpoint.
    public enum File {
        public static let model = "model.safetensors"
        public static let ema = "ema.safetensors"
        public static let state = "state.safetensors"
    }

    /// Key under which weights carry their configuration.
    static let configurationKey = "driftgpu.config"

    /// Throws where the folder does not allow for `existing`: it holds a run, or holds none to resume.
    package func check(_ existing: TrainingRun.Existing) throws {
        let hasCheckpoint = try checkpoints.latest() != nil
        switch existing {
        case .refuse:
            guard hasCheckpoint || Files.exists(configurationPath) else { return }
            throw ConfigurationError(
                "\(path): holds a run already; continue it with --resume, replace it with --overwrite, or choose another --output")
        case .resume:
            if hasCheckpoint { return }
            throw ConfigurationError(
                "\(path): nothing to resume, there is no checkpoint; check --output, or start a run with --auto-resume")
        case .resumeIfAny, .overwrite: return
        }
    }

    // MARK: Saving

    /// Writes everything a resumed run needs: weights, EMA, moments, counters, rings. Waits for the device. With `prunes` the
    /// checkpoints beyond those that are kept go.
    @discardableResult
    public func save(_ trainer: Trainer, prunes: Bool = true) throws -> String {
        let state = trainer.state
        let metadata = try ["format": "pt", Self.configurationKey: String(decoding: trainer.configuration.json(), as: UTF8.self)]
        let rest =
            ["moment1", "moment2"].flatMap { state.parts(of: $0, prefix: $0 + "/") }
            + (try trainer.extraStorages().map { Self.part(of: $0, in: state.memory) })
        // Tensor by tensor: the host never holds more than one of them.
        func writer(_ parts: [SafeTensorsPart], _ metadata: [String: String]) -> (AtomicFile) throws -> Void {
            { try SafeTensors.write(parts, metadata: metadata, to: $0) }
        }
        return try checkpoints.save(
            step: trainer.step,
            writers: [
                File.model: writer(state.parts(of: "parameters"), metadata),
                File.ema: writer(state.parts(of: "ema"), metadata),
                File.state: writer(rest, ["step": String(trainer.step)]),
            ], prunes: prunes)
    }

    private static func part(of storage: Storage, in memory: DeviceMemory) -> SafeTensorsPart {
        SafeTensorsPart(
            name: "storage/" + storage.name, type: storage.element == .float32 ? .f32 : .i32, shape: [storage.count],
            count: storage.count
        ) { file in
            switch storage.element {
            case .float32: try file.write(memory.read(Float.self, from: storage))
            default: try file.write(memory.read(Int32.self, from: storage))
            }
        }
    }

    // MARK: Loading

    /// Brings `state` and the stored tensors to what checkpoint `step` holds.
    public func restore(step: Int, configuration: Configuration, state: ModelState, data: ImageSet) throws -> Trainer {
        let checkpoint = try checkpoints.open(step: step)
        try state.load(checkpoint.tensors(File.model), into: "parameters")
        try state.load(checkpoint.tensors(File.ema), into: "ema")
        let rest = try checkpoint.tensors(File.state)
        for moment in ["moment1", "moment2"] { try state.load(rest, into: moment, prefix: moment + "/") }
        let trainer = try Trainer(configuration, state: state, data: data, step: step)
        for storage in try trainer.extraStorages() {
            let tensor = try rest.tensor("storage/" + storage.name)
            guard tensor.count == storage.count else {
                throw DataError(
                    "tensor storage/\(storage.name) has \(tensor.count) values, the run needs \(storage.count)",
                    at: rest.path, fix: "resume with the settings of the run")
            }
            if let values = tensor.floats, storage.element == .float32 {
                try state.memory.write(values, to: storage)
            } else if let values = tensor.ints, storage.element != .float32 {
                try state.memory.write(values, to: storage)
            } else {
                throw DataError(
                    "tensor storage/\(storage.name) has the wrong element type", at: rest.path,
                    fix: "resume from an earlier checkpoint")
            }
        }
        return trainer
    }

    /// The configuration of the run in this folder.
    public func configuration() throws -> Configuration {
        let bytes = try Files.read(configurationPath)
        return try Configuration().merging(json: Data(bytes), from: configurationPath)
    }
}

/// Weights and configuration that `--checkpoint` names: a run's folder (its newest checkpoint), a checkpoint's folder, or a
/// safetensors file written by driftgpu.
public struct SavedModel: Sendable {
    public let configuration: Configuration
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
            target = try folder.open(step: step).folder + "/" + name
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
