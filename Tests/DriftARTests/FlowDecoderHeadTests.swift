import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// TransDiff: the label stage without entropy, and its flow decoder in the loop. Network, loss and steps are golden cases.
@Suite(.serialized) struct FlowDecoderHeadTests {
    private static var configuration: Configuration {
        var tiny = TinyRun.pixels.configuration
        tiny.adopt(.transDiff)
        tiny.head.depth = 2
        tiny.head.flowDecoder?.steps = 5
        tiny.head.flowDecoder?.driftScale = 0.9
        tiny.head.flowDecoder?.noiseScale = 0.8
        return tiny
    }

    /// A model whose images are no longer those of its first weights, of which the last layer's are 0.
    private func state(_ device: Device, _ configuration: Configuration = configuration, seed: UInt64 = 3) throws -> ModelState {
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: seed)
        let weights = state.model.layout.storage("ema")
        var random = TestRandom(seed)
        try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(0.1 * random.normal()) }, to: weights)
        return state
    }

    /// Images of the labels 4 and 1 by the head's steps, one after the other in one graph.
    private func unrolled(_ state: ModelState, images: Range<Int>, start: [Float], cfg: Float, seed: UInt64) throws -> [Float] {
        let (model, memory) = (state.model, state.memory)
        let head = try #require(model.head as? FlowDecoderHead)
        let ids: [Int32] = [4, 1]
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout, storage: "ema")
        func encoded(_ drop: Float) throws -> Tensor {
            let condition = try model.stage.condition(
                labels: graph.constant("ids", ids, [2]), drop: graph.constant("drop \(drop)", [drop, drop], [2]), scope)
            return try #require(condition.z)
        }
        var strength: Tensor?
        var z = try encoded(1)
        if cfg != 1 {
            strength = try graph.constant("cfg", [cfg], [1])
            z = try graph.concat([z, encoded(0)], axis: 0)
        }
        let common = try head.common(z: z, scope)
        let source = DrawingSource(loop: "unrolled", labels: 2)
        let item = [model.tokens, model.tokenWidth]
        let shape = [2 * images.count] + item
        var x = try graph.input("start", shape)
        var velocity = try graph.fill(shape, with: 0)
        let rows = try graph.split(head.table(scope), axis: 0)
        for (step, row) in rows.enumerated() {
            let round = try graph.input("round_\(step)", [1], .uint32)
            try memory.write([UInt32(step)], to: Storage("round_\(step)", count: 1, element: .uint32))
            let numbers = try source.numbers(0x2020_0000, round: round, graph)
            let noise = try graph.reshape(graph.randomNormal(item, images: images.count, of: numbers), shape)
            let other = head.keepsVelocity ? velocity : noise
            let made = try head.step(x, common: common, row: row, other: other, cfg: strength, scope)
            (x, velocity) = (made.x, made.velocity ?? velocity)
        }
        graph.output(x)
        let executor = try memory.executor(graph)
        try source.write(ids.map { Int($0) }, firstImage: images.lowerBound, seed: seed, to: memory)
        try memory.write(start, to: Storage("start", count: start.count))
        try executor.run()
        return try executor.read(x)
    }

    @Test(
        "the loop draws what the head's steps give", arguments: TestDevice.teams,
        [(FlowSampler.sde, Float(1)), (.sde, 1.5), (.ode, 1), (.ode, 1.5)])
    func loop(_ shape: TeamShape, drawing: (sampler: FlowSampler, cfg: Float)) throws {
        try TestDevice.with(shape) { device in
            let cfg = drawing.cfg
            var configuration = Self.configuration
            configuration.head.flowDecoder?.sampler = drawing.sampler
            let state = try state(device, configuration)
            let images = 2..<5
            let seed: UInt64 = 0xFEDC_BA98_0123_4567
            let sampler = Sampler(state.model, memory: state.memory)
            let all = try sampler.tokens(labels: [4, 1], perLabel: images.upperBound, cfg: cfg, seed: seed)
            let size = state.model.tokens * state.model.tokenWidth
            var drawn: [Float] = []
            for label in 0..<2 {
                let begin = (label * images.upperBound + images.lowerBound) * size
                drawn += all[begin..<(begin + images.count * size)]
            }
            let start = sampler.noise([4, 1], images: images, round: 0, seed: seed)
            let expected = try unrolled(state, images: images, start: start, cfg: cfg, seed: seed)
            let scale = expected.map { abs($0) }.max() ?? 0
            let worst = zip(drawn, expected).map { abs($0 - $1) }.max() ?? .infinity
            #expect(drawn.count == expected.count && worst <= 1e-5 * scale, "\(worst) of \(scale)")
            let moved = zip(drawn, start).map { abs($0 - $1) }.max() ?? 0
            #expect(moved > 0.1 * scale)
            // The velocities that are left of one drawing are not those of the next.
            #expect(try sampler.tokens(labels: [4, 1], perLabel: images.upperBound, cfg: cfg, seed: seed) == all)
        }
    }

    @Test("after a change of the weights the loop draws from the new ones")
    func reset() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            let before = try sampler.tokens(labels: [2], perLabel: 2, seed: 1)
            let entry = try #require(state.model.layout["diffdecoder.net.time_embed.time_proj.bias"])
            let weights = state.model.layout.storage("ema")
            try state.memory.write([Float](repeating: 0.3, count: entry.count), to: weights, at: entry.offset)
            try sampler.reset()
            let after = try sampler.tokens(labels: [2], perLabel: 2, seed: 1)
            let fresh = try Sampler(state.model, memory: state.memory).tokens(labels: [2], perLabel: 2, seed: 1)
            #expect(after == fresh && after != before)
        }
    }

    @Test("without entropy every block attends to all, and there is neither draft nor loss of the stage")
    func stage() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let stage = try state.labelStage
            #expect(!stage.hasEntropy && !stage.hasLosses && !stage.declarations.contains { $0.name.hasPrefix("draft_model.") })
            #expect(Self.configuration.phases.alpha(1) == 0 && !Self.configuration.phases.isSecondPhase(Double(Self.configuration.run.steps)))
            let graph = Graph()
            let scope = ParameterScope(graph, state.model.layout, storage: "ema")
            let embedding = try stage.embed(graph.constant("ids", [3, 8] as [Int32], [2]), scope)
            let made = try stage.encode(embedding, scope)
            #expect(made.entropy == nil)
            let (buffer, tokens, width) = (stage.shape.buffer, stage.shape.tokens, stage.shape.embed)
            let front = try graph.reshape(graph.repeatEach(embedding, times: buffer), [2, buffer, width])
            let mask = try graph.reshape(scope.parameter("mask_token"), [1, width])
            let content = try graph.reshape(graph.repeatEach(mask, times: 2 * tokens), [2, tokens, width])
            var x = try graph.addPeriodic(graph.concat([front, content], axis: 1), scope.parameter("encoder_pos_embed_learned"))
            x = try scope.layerNorm(x, "z_proj_ln", epsilon: stage.shape.epsilon)
            for index in 0..<(2 * stage.shape.encoderDepth) { x = try stage.block(x, scope.scope("encoder_blocks.\(index)")).output }
            x = try scope.layerNorm(x, "encoder_norm", epsilon: stage.shape.epsilon)
            x = try graph.slice(x, axis: 1, buffer..<(buffer + tokens))
            let expected = try graph.addPeriodic(x, scope.parameter("diffusion_pos_embed_learned"))
            let z = try #require(made.z)
            [z, expected].forEach(graph.output)
            let executor = try state.memory.executor(graph)
            try executor.run()
            #expect(try executor.read(z) == executor.read(expected))
        }
    }

    @Test("labels kept in a file without entropies draw the same bits")
    func cache() throws {
        try TestDevice.with(.cpu16) { device in
            let (state, folder) = (try state(device), try TestFolder())
            func draw(_ path: String?) throws -> (tokens: [Float], read: Int) {
                let sampler = Sampler(state.model, memory: state.memory)
                if let path { try sampler.cacheLabels(in: .file(path)) }
                let tokens = try sampler.tokens(labels: [3, 5], perLabel: 2, cfg: 2, seed: 4)
                return (tokens, sampler.labelCounts.read)
            }
            let path = folder.file("labels.safetensors")
            let (plain, first, second) = (try draw(nil), try draw(path), try draw(path))
            #expect(plain.tokens == first.tokens && first.tokens == second.tokens && first.read == 0 && second.read == 3)
            // With a mask the same weights give other conditions.
            let context = SamplingContext(StoredWeights(state.model.layout, buffer: "ema"), memory: state.memory)
            let stage = try state.labelStage
            var masked = stage.shape
            masked.hasEntropy = true
            let (own, other) = (try EncoderIdentity(stage, context), try EncoderIdentity(LabelStage(masked), context))
            #expect(own.weights != other.weights)
        }
    }

    @Test("another head does not take over how images are drawn, another stage does")
    func adopted() throws {
        var mar = try Configuration.preset("photos-transdiff")
        var sequences = mar
        mar.adopt(.mar)
        sequences.adopt(.transDiffMRAR)
        #expect(mar.head.diffusion?.steps == 100)
        #expect(sequences.head.flowDecoder?.steps == 12 && sequences.head.flowDecoder?.sampler == .ode)
    }

    @Test("what does not go together is refused in a line")
    func refused() throws {
        var decoder = TinyRun.pixels.configuration
        decoder.stage.label?.entropy = false
        #expect(errorText { try decoder.validate() }?.contains("stage.entropy") == true)
        for (steps, noises) in [(1, 1), (1001, 1), (5, 0), (5, 257)] {
            var flow = Self.configuration
            flow.head.flowDecoder?.steps = steps
            flow.head.flowDecoder?.noises = noises
            #expect(errorText { try flow.validate() }?.hasPrefix("head ") == true)
        }
        try TestDevice.with(.cpu16) { device in
            let sampler = Sampler(try state(device).model, memory: DeviceMemory(device))
            let error = errorText { _ = try sampler.tokens(labels: [1], perLabel: 1, seed: 1, speculation: Speculation()) }
            #expect(error?.contains("no draft") == true, "\(error ?? "accepted")")
        }
    }

    /// Those that TransDiff's authors give: 290 M, 683 M, 1.3 B.
    @Test("the published sizes have the published numbers of parameters", arguments: [("base", 290.0), ("large", 682.5), ("huge", 1327.9)])
    func sizes(_ size: String, millions: Double) throws {
        let layout = try Configuration.preset("transdiff-" + size).makeGenerator().layout
        let count = layout.entries.reduce(0) { $0 + $1.count }
        #expect(abs(Double(count) / 1e6 - millions) < 0.05, "\(count)")
    }

    @Test("the path without noise is followed to second order, whichever way time runs")
    func path() {
        /// How far the steps end from where x' = cos 3 t - x ends that begins at 1: `begin` to `end`, in their time.
        func error(_ schedule: FlowSchedule, unit: Double, from begin: Double, to end: Double) -> Double {
            var (x, before) = (1.0, 0.0)
            for (time, numbers) in zip(schedule.times, schedule.numbers) {
                let velocity = cos(3 * time / unit) - x
                (x, before) = (numbers.x * x + numbers.velocity * velocity + numbers.other * before, velocity)
            }
            func settled(_ t: Double) -> Double { (cos(3 * t) + 3 * sin(3 * t)) / 10 }
            return abs(x - (settled(end) + (1 - settled(begin)) * exp(begin - end)))
        }
        for shift in [1.0, 2.5] {
            let errors = [20, 40, 80].map { error(FlowSchedule(.quiet, steps: $0, shift: shift, sampler: .ode), unit: 1, from: 0, to: 1) }
            #expect(errors[0] < 0.01 && errors[0] / errors[1] > 3.4 && errors[1] / errors[2] > 3.7, "shift \(shift): \(errors)")
        }
        let falling = [20, 40, 80].map { error(FlowSchedule(fromNoise: $0, levels: 1000, sampler: .ode), unit: 1000, from: 1, to: 0) }
        #expect(falling[0] < 0.02 && falling[0] / falling[1] > 3.4 && falling[1] / falling[2] > 3.7, "\(falling)")
    }

    @Test("steps of falling time: equal ones to 0.04, then that")
    func schedule() {
        let schedule = FlowSchedule(fromNoise: 4, levels: 1000)
        #expect(zip(schedule.times, [1000, 680, 360, 40]).allSatisfy { abs($0 - $1) < 1e-9 })
        #expect(schedule.numbers.map(\.other).last == 0 && schedule.numbers[0].other > 0)
        #expect(abs(schedule.numbers[3].x - 0.96) < 1e-12 && abs(schedule.numbers[3].velocity + 1.96 * 0.04) < 1e-12)
    }
}
