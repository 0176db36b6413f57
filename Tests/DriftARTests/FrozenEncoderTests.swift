import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct FrozenEncoderTests {
    private static var configuration: Configuration {
        var configuration = Configuration.presets["features"] ?? Configuration()
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (3, 4, 8, 2)
        (configuration.network.embed, configuration.network.heads, configuration.network.mlpRatio) = (8, 2, 2)
        configuration.head.depth = 2
        return configuration
    }

    /// The drift loss of what an encoder makes of images, and its gradient, against PyTorch in double precision.
    @Test(arguments: TestDevice.teams) func agreesWithPyTorch(_ shape: TeamShape) throws {
        var configuration = Configuration()
        configuration.data = Self.configuration.data
        try configuration.encoder.take(Self.configuration, at: "here")
        (configuration.encoder.blocks, configuration.encoder.windows) = ([1, 2], [2])
        configuration.loss.features = .encoder
        try configuration.validate()
        let encoder = try #require(FrozenEncoder(configuration))
        let fixture = try PyTorchGradients("masked-autoencoder")
        try TestDevice.with(shape) { device in
            let memory = DeviceMemory(device)
            let layout = try encoder.layout()
            try fixture.load(layout, into: memory, buffer: FrozenEncoder.storageName)
            let graph = Graph()
            let generated = try graph.input("generated", [6, 8, 12])
            let positive = try graph.input("positive", [8, 8, 12])
            func compared(_ tokens: Tensor) throws -> [Tensor] {
                let whole = try graph.reshape(tokens, [tokens.shape[0], 1, 96])
                return try [whole] + encoder.vectors(of: tokens, in: graph)
            }
            let terms = try zip(compared(generated), compared(positive)).map { made, real in
                let targets = DriftTargets(positive: try graph.groups(of: real, labels: 2))
                return try graph.driftLoss(
                    graph.groups(of: made, labels: 2), targets: targets, affinity: DriftAffinity(temperatures: [0.05, 0.2]))
            }
            #expect(terms.count == 11)
            let loss = try graph.sum(terms)
            let gradient = try #require(try graph.gradients(of: loss, withRespectTo: [generated])[0])
            [loss, gradient].forEach(graph.output)
            let executor = try memory.executor(graph)
            try executor.write(fixture.file.floats("generated", shape: generated.shape), to: generated)
            try executor.write(fixture.file.floats("positive", shape: positive.shape), to: positive)
            try executor.run()
            try fixture.compare(executor.read(loss), "drift", [1])
            try fixture.compare(executor.read(gradient), "gradient_generated", generated.shape)
        }
    }

    /// An encoder's run on the digits, then a model's that compares by it: the run keeps the encoder, goes on from it without the run it
    /// came from, and refuses another.
    @Test(arguments: [TinyRun.pixels, .dit]) func runsKeepTheirEncoder(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let source = folder.file("features")
            var features = Configuration.presets["features"] ?? Configuration()
            (features.data.channels, features.data.height, features.data.width, features.data.patch) = (1, 8, 8, 2)
            (features.network.embed, features.network.heads, features.network.mlpRatio, features.head.depth) = (16, 2, 2, 2)
            (features.run.steps, features.run.samplesPerLabel, features.data.flip) = (2, 2, false)
            let data = try ImageSet(TinyRun.data())
            let first = try TrainingRun(features, data: data, path: source, existing: .refuse, device: device)
            let progress = ProgressLine(total: 2, output: .custom(columns: nil, { _ in }))
            #expect(try first.train(progress: progress) == .finished)
            let path = folder.file("run")
            func compare(_ configuration: inout Configuration) {
                configuration.loss.features = .encoder
                try? configuration.encoder.take(features, at: source)
            }
            #expect(try kind.run(path, device, stopAt: 3, change: compare) == .interrupted)
            let kept = try SavedModel(path + "/encoder.safetensors")
            #expect(kept.configuration.head.maskedAutoencoder != nil)
            let name = "blocks.0.attn.qkv.weight"
            #expect(try kept.file.tensor(name).floats == SavedModel(source).file.tensor(name).floats)
            try FileManager.default.removeItem(atPath: source)
            // Another encoder than it began with.
            #expect(throws: ConfigurationError.self) {
                _ = try kind.run(path, device, existing: .resume) { compare(&$0); $0.encoder.path = "other" }
            }
            #expect(try kind.run(path, device, existing: .resume, change: compare) == .finished)
            let weights = try SavedModel(path, weights: "model").file
            #expect(weights.entries.keys.allSatisfy { !$0.hasPrefix("patch_embed") })
        }
    }

    @Test("a run whose head compares no images says so, and a model that was trained so can be opened")
    func headsWithoutIt() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            var configuration = Configuration.presets["digits-mar"] ?? Configuration()
            (configuration.loss.features, configuration.encoder.path, configuration.encoder.patch) = (.encoder, "somewhere", 4)
            try configuration.validate()
            let text = errorText {
                _ = try TrainingRun(configuration, data: ImageSet(TinyRun.data()), path: folder.file("run"), existing: .refuse, device: device)
            }
            #expect(text?.hasPrefix("features: the head") == true && text?.contains("--features pixels") == true, "\(text ?? "")")
        }
    }

    @Test("a settings file without the encoder is what it was, and one with it is checked")
    func settings() throws {
        var configuration = Configuration()
        #expect(FrozenEncoder(configuration) == nil)
        configuration.loss.features = .encoder
        func message(_ change: (inout Configuration) -> Void) -> String {
            var changed = configuration
            change(&changed)
            do { try changed.validate() } catch { return "\(error)" }
            return ""
        }
        #expect(message { _ in } == "")
        #expect(message { $0.encoder.patch = 3 }.contains("encoder patch 3"))
        #expect(message { $0.encoder.heads = 3 }.contains("encoder embed"))
        #expect(message { $0.encoder.blocks = [5] }.contains("encoder blocks"))
        #expect(message { $0.encoder.windows = [0] }.contains("encoder windows"))
        #expect(message { $0.encoder.windows = [3] }.contains("take divisors of its"))
        #expect(message { $0.loss.groups = .tokens }.contains("features encoder"))
        #expect(message { $0.encoder.layerNormEpsilon = 0 }.contains("layerNormEpsilon"))
        // Every second block, and the last.
        configuration.encoder.depth = 5
        #expect(configuration.encoder.compared == [2, 4, 5])
        #expect(throws: ConfigurationError.self) { try configuration.encoder.take(Configuration(), at: "x") }
    }
}
