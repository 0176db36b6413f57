import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct MaskedAutoencoderHeadTests {
    private static var configuration: Configuration {
        var configuration = Configuration.presets["features"] ?? Configuration()
        (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch) = (1, 8, 8, 2)
        (configuration.data.flip, configuration.network.embed, configuration.network.heads) = (false, 32, 4)
        (configuration.head.depth, configuration.run.samplesPerLabel) = (2, 4)
        return configuration
    }

    /// Loss, features and every gradient against PyTorch in double precision.
    @Test(arguments: TestDevice.teams) func agreesWithPyTorch(_ shape: TeamShape) throws {
        var configuration = Self.configuration
        (configuration.data.channels, configuration.data.height, configuration.data.width) = (3, 4, 8)
        (configuration.network.embed, configuration.network.heads, configuration.network.mlpRatio) = (8, 2, 2)
        configuration.head.maskedAutoencoder?.decoderBlocks = 1
        let model = try configuration.makeGenerator()
        let head = try #require(model.head as? MaskedAutoencoderHead)
        let fixture = try PyTorchGradients("masked-autoencoder")
        try TestDevice.with(shape) { device in
            let memory = DeviceMemory(device)
            try fixture.load(model.layout, into: memory)
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout)
            let images = try graph.input("images", [3, 3, 4, 8])
            let order = try graph.input("order", [3, 8], .int32)
            let tokens = try graph.patchify(images, patch: 2)
            let loss = try head.loss(of: tokens, order: order, scope)
            let features = try #require(try head.features(tokens, scope))
            let gradients = try graph.gradients(of: loss, withRespectTo: model.layout.entries.map { try scope.parameter($0.name) })
            ([loss, features] + gradients.compactMap { $0 }).forEach(graph.output)
            let executor = try memory.executor(graph)
            try executor.write(fixture.file.floats("images", shape: images.shape), to: images)
            try executor.write(#require(fixture.file.tensor("order").ints), to: order)
            try executor.run()
            try fixture.compare(executor.read(loss), "loss", [1])
            try fixture.compare(executor.read(features), "features", [3, 8, 8])
            try fixture.compare(gradients, of: model.layout, executor)
        }
    }

    private func tokens(_ count: Int, seed: UInt64) -> [Float] {
        var random = TestNumbers(seed)
        return (0..<(count * 64)).map { _ in random.float() }
    }

    @Test("what is hidden has no say in what it is restored to, and what is seen stays")
    func hides() throws {
        try TestDevice.with(.cpu16) { device in
            let configuration = Self.configuration
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let graph = Graph()
            let input = try graph.input("images", [2, 16, 4])
            let made = try #require(try state.model.head.reconstruct(input, ParameterScope(graph, state.model.layout)))
            graph.output(made)
            let executor = try state.memory.executor(graph)
            func restored(_ values: [Float]) throws -> [Float] {
                try executor.write(values, to: input)
                try executor.run()
                return try executor.read(made)
            }
            let first = tokens(2, seed: 3)
            let whole = try restored(first)
            // A quarter of 16 tokens is seen, and comes out as it went in.
            func token(_ values: [Float], _ index: Int) -> [Float] { Array(values[(index * 4)..<(index * 4 + 4)]) }
            let seen = (0..<16).filter { token(whole, $0) == token(first, $0) }
            #expect(seen.count == 4)
            // Other values where it is hidden, in the first image.
            var other = first
            let noise = tokens(1, seed: 4)
            for index in 0..<64 where !seen.contains(index / 4) { other[index] = noise[index] }
            #expect(try restored(other) == whole)
            other[seen[0] * 4] += 1
            let changed = try restored(other)
            #expect(changed[..<64] != whole[..<64] && changed[64...] == whole[64...])
        }
    }

    @Test("a run learns what is hidden, its encoder is one to compare images by, and a run of another kind is none")
    func commands() throws {
        let folder = try TestFolder()
        let small = "--embed 32 --heads 4 --decoder-depth 2 --patch 2 --size 8"
        // Pictures of one colour on the left and another on the right: what is seen says what is hidden.
        for (label, name) in ["a", "b"].enumerated() {
            try Files.makeFolder(folder.file("data/" + name))
            for number in 0..<15 {
                let (left, right) = (UInt8(100 * label + 10 * number), UInt8(250 - 10 * number))
                let pixels = (0..<64).map { $0 % 8 < 4 ? left : right }
                try PNG.write(Picture(width: 8, height: 8, channels: 1, pixels: pixels), to: folder.file("data/\(name)/\(number).png"))
            }
        }
        let run = try folder.run("features train --data data \(small) --steps 60 --warmup-steps 5 --ema 0.9 --sample-every 20 --output encoder")
        #expect(run.code == 0 && run.output.contains("next: driftgpu eval --features encoder"), "\(run)")
        let ratios = try Files.read(folder.file("encoder/metrics.jsonl")).split(separator: UInt8(ascii: "\n")).compactMap {
            try JSON.parse(Array($0))["psnr"]?.double
        }
        #expect(ratios.count == 3 && ratios[2] > ratios[0] + 1, "\(ratios)")
        #expect(!Files.exists(folder.file("encoder/autoencoder.safetensors")))
        // A picture and what is made of it, side by side.
        #expect(try PNG.read(folder.file("encoder/samples/step-00000060.png")).picture.height > 48)

        let copied = try folder.shell("mkdir saved && for i in 0 1 2 3 4; do cp data/a/$i.png saved/0-$i.png; cp data/b/$i.png saved/1-$i.png; done")
        #expect(copied.code == 0)
        let judged = try folder.run("eval --images saved --data data --features encoder --json figures.json")
        #expect(judged.code == 0 && judged.output.contains("in the features of encoder"), "\(judged)")
        let figures = try JSON.parse(Files.read(folder.file("figures.json")))
        #expect(figures["generated"]?["frechet_distance"]?.double != nil && figures["features"]?.string == "encoder")

        try folder.expectError("compare encoder", says: "row encoder: the head masked-autoencoder draws no images")
        let other = try folder.run("train --steps 1 --output digits --sample-every 0 " + Program.tiny)
        #expect(other.code == 0)
        try folder.expectError("eval --images saved --data data --features digits", says: "no feature encoder, but a model with the head decoder")
        try folder.expectError("eval --images saved --data data --features pixel", says: "--features pixel: take pixels, phi, classifier, or")
    }

    @Test func settingsAreChecked() throws {
        func refused(_ part: String, _ change: (inout Configuration) -> Void) {
            var configuration = Self.configuration
            change(&configuration)
            let message = errorText { try configuration.validate() }
            #expect(message?.contains(part) == true && message?.contains("\n") == false, "\(message ?? "accepted")")
        }
        refused("maskRatio 1.0") { $0.head.maskedAutoencoder?.maskRatio = 1 }
        refused("decoderBlocks 0") { $0.head.maskedAutoencoder?.decoderBlocks = 0 }
        refused("two tokens or more") { $0.data.patch = 8 }
        refused("dropout") { $0.network.dropout = 0.1 }
    }
}
