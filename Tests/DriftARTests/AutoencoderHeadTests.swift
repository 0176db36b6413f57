import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite struct AutoencoderHeadTests {
    /// The sizes of Tests/Fixtures/autoencoder/make.py.
    private static var configuration: Configuration {
        var settings = AutoencoderHeadSettings()
        (settings.width, settings.multipliers, settings.depth, settings.latentChannels) = (4, [1, 2], 1, 2)
        (settings.divergenceWeight, settings.gradientWeight, settings.gradientScales) = (0.01, 0.7, 2)
        var configuration = Configuration()
        configuration.stage = StageSettings(UnconditionedStageSettings())
        configuration.head = HeadSettings(settings)
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (3, 8, 12, 1)
        return configuration
    }

    /// Losses, reconstruction and every gradient against PyTorch in double precision.
    @Test(arguments: TestDevice.teams) func agreesWithPyTorch(_ shape: TeamShape) throws {
        let model = try Self.configuration.makeGenerator()
        let head = try #require(model.head as? AutoencoderHead)
        let fixture = try PyTorchGradients("autoencoder")
        try TestDevice.with(shape) { device in
            let memory = DeviceMemory(device)
            try fixture.load(model.layout, into: memory)
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout)
            let images = try graph.input("images", [2, 3, 8, 12])
            let eps = try graph.input("eps", [2, 2, 4, 6])
            let real = try graph.patchify(images, patch: 1)
            let step = try head.loss(of: graph.reshape(real, [2, 8, 12, 3]), eps: eps, scope)
            let terms = (step.losses + step.watched).map(\.value)
            let total = try step.losses.dropFirst().reduce(step.losses[0].value) { try graph.add($0, $1.value) }
            let made = try #require(try head.reconstruct(real, scope))
            let gradients = try graph.gradients(of: total, withRespectTo: model.layout.entries.map { try scope.parameter($0.name) })
            (terms + [made] + gradients.compactMap { $0 }).forEach(graph.output)
            let executor = try memory.executor(graph)
            try executor.write(fixture.file.floats("images", shape: images.shape), to: images)
            try executor.write(fixture.file.floats("eps", shape: eps.shape), to: eps)
            try executor.run()
            try fixture.compare(terms.flatMap { try executor.read($0) as [Float] }, "losses", [4])
            try fixture.compare(planes(fromTokens: executor.read(made), Self.configuration), "reconstruction", [2, 3, 8, 12])
            try fixture.compare(gradients, of: model.layout, executor)
        }
    }

    /// The distance of what an encoder makes of images and of what they become: its value from the encoder's vectors, its gradient by
    /// central differences.
    @Test(arguments: TestDevice.teams) func comparesByAnEncoder(_ shape: TeamShape) throws {
        var configuration = Self.configuration
        configuration.loss.features = .encoder
        (configuration.encoder.patch, configuration.encoder.embed, configuration.encoder.heads) = (4, 8, 2)
        (configuration.encoder.depth, configuration.encoder.mlpRatio) = (2, 2)
        configuration.head.autoencoder?.featureWeight = 0.5
        try configuration.validate()
        let model = try configuration.makeGenerator()
        let head = try #require(model.head as? AutoencoderHead)
        let encoder = try #require(FrozenEncoder(configuration))
        try TestDevice.with(shape) { device in
            let state = ModelState(model, memory: DeviceMemory(device))
            try state.initialize(seed: 3)
            try encoder.initialize(seed: 4, in: state.memory)
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout)
            let real = try graph.input("real", [2, 8, 12, 3])
            let eps = try graph.input("eps", [2, 2, 4, 6])
            let losses = try head.loss(of: real, eps: eps, scope).losses
            let term = try #require(losses.first(where: { $0.names == ["feature"] })).value
            let made = try head.vae.pixels(ofLatents: graph.posterior(moments: head.vae.moments(ofPixels: real, scope), eps: eps), scope)
            let vectors = try [made, real].map { try encoder.vectors(of: graph.reshape($0, [2, 96, 3]), in: graph) }
            let pairs = zip(vectors[0], vectors[1]).map { ($0, $1) }
            let name = "decoder.conv_out.weight"
            let gradient = try #require(try graph.gradients(of: term, withRespectTo: [scope.parameter(name)])[0])
            ([term, gradient] + pairs.flatMap { [$0.0, $0.1] }).forEach(graph.output)
            let executor = try state.memory.executor(graph)
            var random = TestRandom(6)
            try executor.write((0..<real.count).map { _ in Float(random.uniform(-1, 1)) }, to: real)
            try executor.write((0..<eps.count).map { _ in Float(random.normal()) }, to: eps)
            func value() throws -> Double {
                try executor.run()
                return Double(try executor.read(term)[0] as Float)
            }
            let first = try value()
            var expected = 0.0
            for (made, wanted) in pairs {
                let distances = try zip(executor.read(made) as [Float], executor.read(wanted) as [Float]).map { a, b in
                    let distance = abs(Double(a) - Double(b))
                    return distance < 1 ? distance * distance / 2 : distance - 0.5
                }
                expected += 0.5 * distances.reduce(0, +) / Double(distances.count) / Double(pairs.count)
            }
            #expect(abs(first - expected) <= 1e-5 * expected, "\(first), \(expected)")
            #expect(pairs.count == 3 && expected > 1e-3)

            let entry = try #require(model.layout.entries.first { $0.name == name })
            let storage = model.layout.storage("parameters")
            let weights: [Float] = try state.memory.read(Float.self, from: storage, at: entry.offset, count: entry.count)
            let slope: [Float] = try executor.read(gradient)
            let length = slope.map { Double($0) * Double($0) }.reduce(0, +).squareRoot()
            let step = 0.02
            let moved = try [step, -step].map { step in
                let values = zip(weights, slope).map { $0 + Float(step * Double($1) / length) }
                try state.memory.write(values, to: storage, at: entry.offset)
                return try value()
            }
            #expect(abs((moved[0] - moved[1]) / (2 * step) - length) <= 0.01 * length, "\(moved), \(length)")
        }
    }

    @Test func settingsAreChecked() throws {
        func refused(_ part: String, _ change: (inout Configuration) -> Void) {
            var configuration = Self.configuration
            change(&configuration)
            #expect(throws: (any Error).self, "\(part)") { try configuration.validate() }
            do { try configuration.validate() } catch { #expect("\(error)".contains(part), "\(error)") }
        }
        try Self.configuration.validate()
        refused("patch 2") { $0.data.patch = 2 }
        refused("latents") { $0.data.channels = 16 }
        refused("8x13") { $0.data.width = 13 }
        refused("latentChannels 13") { $0.head.autoencoder?.latentChannels = 13 }
        refused("0 blocks") { $0.head.depth = 0 }
        refused("0 levels") { $0.head.autoencoder?.multipliers = [] }
        refused("gradientScales 0") { $0.head.autoencoder?.gradientScales = 0 }
        refused("divergenceWeight") { $0.head.autoencoder?.divergenceWeight = -1 }
        refused("features phi") { $0.loss.features = .phi }
        refused("featureWeight") { $0.head.autoencoder?.featureWeight = -1 }
        refused("gradientWeight") { $0.head.autoencoder?.gradientWeight = .infinity }
    }

    /// A short run learns, writes an autoencoder that reads as one with a scale of its own, and goes on with the same bits.
    @Test func trainsFromImagesToAFile() throws {
        var configuration = Self.configuration
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.form) = (1, 8, 8, .digits)
        configuration.head.autoencoder?.width = 8
        configuration.head.autoencoder?.latentChannels = 3
        (configuration.run.steps, configuration.run.samplesPerLabel, configuration.run.labelDrop) = (60, 2, 0)
        (configuration.run.sampleEvery, configuration.run.checkpointEvery, configuration.run.logEvery) = (20, 30, 10)
        (configuration.optimizer.learningRate, configuration.optimizer.warmupSteps) = (4e-3, 5)
        (configuration.optimizer.ema, configuration.optimizer.schedule) = (0.9, .constant)
        let data = try TinyVAE.images(120)
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            func train(_ name: String, until steps: Int? = nil, _ existing: TrainingRun.Existing = .refuse) throws {
                let run = try TrainingRun(
                    configuration, data: data, heldOut: TinyVAE.images(140).subset(Array(120..<140)), path: folder.file(name), existing: existing,
                    device: device)
                var count = 0
                let ending = try run.train(progress: ProgressLine(total: configuration.run.steps, output: .custom(columns: nil, { _ in }))) {
                    count += 1
                    return count == steps
                }
                #expect(ending == (steps == nil ? .finished : .interrupted))
            }
            try train("whole")
            try train("parts", until: 31)
            try train("parts", .resume)
            let files = ["autoencoder.safetensors", "checkpoints/step-00000060/state.safetensors", "samples/step-00000060.png"]
            for file in files { #expect(try Files.read(folder.file("whole/" + file)) == Files.read(folder.file("parts/" + file)), "\(file)") }

            // A run that was killed before it could write the file does so when it is resumed.
            let written = try Files.read(folder.file("whole/autoencoder.safetensors"))
            try Files.removeTree(folder.file("whole/autoencoder.safetensors"))
            func again() throws -> String? {
                let run = try TrainingRun(configuration, data: data, heldOut: data, path: folder.file("whole"), existing: .resume, device: device)
                return try run.writeMissingAutoencoder()
            }
            #expect(try again() == folder.file("whole/autoencoder.safetensors"))
            #expect(try Files.read(folder.file("whole/autoencoder.safetensors")) == written)
            #expect(try again() == nil)

            let ratios = try Files.read(folder.file("whole/metrics.jsonl")).split(separator: UInt8(ascii: "\n")).compactMap {
                try JSON.parse(Array($0))["psnr"]?.double
            }
            #expect(ratios.count == 3 && ratios[2] > ratios[0] + 1.5, "\(ratios)")
            let weights = try VAEWeights(folder.file("whole"))
            #expect(weights.name == folder.file("whole/autoencoder.safetensors"))
            #expect(try VAEWeights(folder.file("whole/checkpoints/step-00000060")).latentScale == nil)
            // Draws by that scale have a deviation of 1.
            let scale = try #require(weights.latentScale)
            let autoencoder = Autoencoder(weights, device: device)
            #expect(try abs(LatentScale.measured(autoencoder, on: data) / scale - 1) < 1e-6)
            // What the run has measured is what its file does.
            let heldOut = try TinyVAE.images(140).dataset().images[(120 * 64)...]
            let moments = try autoencoder.moments(Array(heldOut), height: 8, width: 8)
            let (latent, pixels) = (3 * 16, 64)
            var means: [Float] = []
            for image in 0..<20 { means += moments[(image * 2 * latent)..<(image * 2 * latent + latent)] }
            let made = try autoencoder.images(means, height: 4, width: 4)
            var ratio = 0.0
            for image in 0..<20 {
                var error = 0.0
                for index in 0..<pixels {
                    let real = Double(heldOut[heldOut.startIndex + image * pixels + index])
                    let difference = real - Double(clampedPixel(made[image * pixels + index]))
                    error += difference * difference
                }
                ratio += 10 * log10(4 * Double(pixels) / error) / 20
            }
            #expect(abs(ratio - ratios[2]) < 1e-3, "\(ratio), \(ratios)")
        }
    }
}
