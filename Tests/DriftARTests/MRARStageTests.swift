import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// TransDiff over several images. Stage, loss and drawings are golden cases; here is its loop.
@Suite(.serialized) struct MRARStageTests {
    private static var configuration: Configuration {
        var tiny = TinyRun.pixels.configuration
        tiny.adopt(.transDiffMRAR)
        tiny.stage.mrar?.images = 3
        tiny.head.flowDecoder?.steps = 3
        return tiny
    }

    private func state(_ device: Device, _ sampler: FlowSampler = .sde) throws -> ModelState {
        var configuration = Self.configuration
        configuration.head.flowDecoder?.sampler = sampler
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        let weights = state.model.layout.storage("ema")
        var random = TestRandom(3)
        try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(0.1 * random.normal()) }, to: weights)
        return state
    }

    /// Images of one label by the head's steps in one graph, each from those before it.
    private func unrolled(_ state: ModelState, label: Int32, images: Range<Int>, start: [Float], cfg: Float, seed: UInt64) throws -> [Float] {
        let (model, memory) = (state.model, state.memory)
        let stage = try #require(model.stage as? MRARStage)
        let head = try #require(model.head as? FlowDecoderHead)
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: "ema")
        let item = [model.tokens, model.tokenWidth]
        let shape = [images.count] + item
        let first = try graph.input("start", shape)
        let rows = try graph.split(head.table(scope), axis: 0)
        let source = DrawingSource(loop: "unrolled", labels: 1)
        let halves: [Float] = cfg == 1 ? [1] : [1, 0]
        let keeps = halves.flatMap { [Float](repeating: $0, count: images.count) }
        let ids = [Int32](repeating: label, count: keeps.count)
        let embedding = try stage.embed(
            graph.constant("ids", ids, [ids.count]), uniform: graph.constant("keeps", keeps, [keeps.count]), dropProbability: 0.5, scope)
        let strength = try graph.constant("cfg", [cfg], [1])
        var made: [Tensor] = []
        for round in 0..<stage.shape.images {
            var earlier = made
            if cfg != 1 { earlier = try made.map { try graph.concat([$0, $0], axis: 0) } }
            let common = try head.common(z: stage.place(stage.encode(embedding, after: earlier, scope), scope), scope)
            var x = first
            var velocity = try graph.fill(shape, with: 0)
            for (step, row) in rows.enumerated() {
                let number = try graph.input("step_\(step)", [1], .uint32)
                try memory.write([UInt32(step)], to: Storage("step_\(step)", count: 1, element: .uint32))
                let numbers = try source.numbers(0x2021_0000 + round << 16, round: number, graph)
                let noise = try graph.reshape(graph.randomNormal(item, images: images.count, of: numbers), shape)
                let moved = try head.step(
                    x, common: common, row: row, other: head.keepsVelocity ? velocity : noise, cfg: cfg == 1 ? nil : strength, scope)
                (x, velocity) = (moved.x, moved.velocity ?? velocity)
            }
            made.append(x)
        }
        let last = made[made.count - 1]
        graph.output(last)
        let executor = try memory.executor(graph)
        try source.write([Int(label)], firstImage: images.lowerBound, seed: seed, to: memory)
        try memory.write(start, to: Storage("start", count: start.count))
        try executor.run()
        return try executor.read(last)
    }

    @Test("the loop makes each image from those before it and gives the last", arguments: TestDevice.teams,
        [(FlowSampler.sde, Float(1)), (.sde, 1.5), (.ode, 1), (.ode, 1.5)])
    func loop(_ shape: TeamShape, drawing: (sampler: FlowSampler, cfg: Float)) throws {
        try TestDevice.with(shape) { device in
            let (state, cfg) = (try state(device, drawing.sampler), drawing.cfg)
            let seed: UInt64 = 77
            let sampler = Sampler(state.model, memory: state.memory)
            let drawn = try sampler.tokens(labels: [4], perLabel: 3, cfg: cfg, seed: seed)
            let start = sampler.noise([4], images: 0..<3, round: 0, seed: seed)
            let expected = try unrolled(state, label: 4, images: 0..<3, start: start, cfg: cfg, seed: seed)
            let scale = expected.map { abs($0) }.max() ?? 0
            let worst = zip(drawn, expected).map { abs($0 - $1) }.max() ?? .infinity
            #expect(drawn.count == expected.count && worst <= 1e-5 * scale, "\(worst) of \(scale)")
        }
    }

    @Test("sequences need their images, and squares of tokens that fit")
    func refused() throws {
        for (setting, value) in [("run.samplesPerLabel", "4"), ("stage.fold", "3"), ("stage.images", "0"), ("stage.images", "17")] {
            let changed = try Self.configuration.setting(setting, to: value, from: "x")
            let error = errorText { try changed.validate() }
            #expect(error?.contains("\(value): ") == true && error?.contains("\n") == false, "\(error ?? "accepted")")
        }
    }

    @Test("weights go out and come back as what they are")
    func imported() throws {
        try TestDevice.with(.cpu16) { device in
            let (state, folder) = (try state(device), try TestFolder())
            try SafeTensors.write(state.tensors(of: "ema"), to: folder.file("mrar.safetensors"))
            var options = ImportOptions(heads: 2, patch: 2)
            options.draws = .pixels
            let weights = try WeightImport(WeightFile.open(folder.file("mrar.safetensors")), options: options)
            #expect(weights.kind == .transDiffMRAR && weights.isExact, "\(weights.report)")
            let found = try #require(weights.configuration)
            #expect(found.stage.mrar == Self.configuration.stage.mrar && found.data.tokens == Self.configuration.data.tokens)
        }
    }
}
