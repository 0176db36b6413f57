import DriftFormats
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
    /// TensorBoard's event files.
    public var tensorBoardPath: String { path + "/tensorboard" }
    public var samplesPath: String { path + "/samples" }
    /// What a finished run of an autoencoder leaves: its weights with the scale of its latents.
    public var autoencoderPath: String { path + "/autoencoder.safetensors" }
    /// The feature encoder by which a run compares images.
    public var encoderPath: String { path + "/encoder.safetensors" }
    /// A file that asks the run to save and stop.
    public var stopPath: String { path + "/stop" }
    /// A file that asks it to save and go on.
    public var savePath: String { path + "/save" }

    /// Names of the files of a checkpoint.
    public enum File {
        public static let model = "model.safetensors"
        public static let ema = "ema.safetensors"
        public static let state = "state.safetensors"
    }

    /// Key under which weights carry their configuration.
    static let configurationKey = "driftgpu.config"

    /// The configuration of the run in this folder.
    public func configuration() throws -> Configuration {
        let bytes = try Files.read(configurationPath)
        return try Configuration().merging(json: Data(bytes), from: configurationPath)
    }
}
