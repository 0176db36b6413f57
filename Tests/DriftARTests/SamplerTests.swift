import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct SamplerTests {
    private func state(_ device: Device) throws -> ModelState {
        let configuration = TinyRun.pixels.configuration
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        return state
    }

    @Test("a picture depends on seed, label and number only")
    func batches() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let size = state.model.tokens * state.model.tokenWidth
            let all = try Sampler(state.model, memory: state.memory).tokens(labels: Array(0..<10), perLabel: 5, seed: 9)
            #expect(all.count == 50 * size)
            #expect(all.allSatisfy { $0.isFinite })
            func picture(_ label: Int, _ number: Int) -> ArraySlice<Float> {
                all[((label * 5 + number) * size)..<((label * 5 + number + 1) * size)]
            }
            for limit in [1, 3, 7] {
                let sampler = Sampler(state.model, memory: state.memory, batchLimit: limit)
                let some = try sampler.tokens(labels: [7, 2, 7], perLabel: 4, seed: 9)
                for (row, label) in [7, 2, 7].enumerated() {
                    for number in 0..<4 {
                        let start = (row * 4 + number) * size
                        #expect(some[start..<(start + size)] == picture(label, number), "limit \(limit), \(label)-\(number)")
                    }
                }
            }
            let other = try Sampler(state.model, memory: state.memory).tokens(labels: [0], perLabel: 1, seed: 10)
            #expect(other[...] != picture(0, 0))
            #expect(picture(0, 0) != picture(0, 1) && picture(0, 0) != picture(1, 0))
        }
    }

    /// The device draws the words that the host draws; its logarithm and cosine are of single precision.
    @Test("noise drawn on the device is the sampler's", arguments: TestDevice.shapes)
    func deviceNoise(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let state = try state(device)
            let model = state.model
            let (labels, images, round, seed) = ([7, 0, 9, 7], 40, 3, 0xFEDC_BA98_0123_4567 as UInt64)
            let want = Sampler(model, memory: state.memory).noise(labels, images: 5..<(5 + images), round: round, seed: seed)
            let graph = Graph()
            let source = NoiseSource(
                stream: Int(Sampler.stream), key: try graph.input("key", [2], .uint32),
                labels: try graph.input("labels", [labels.count], .int32), firstImage: try graph.input("image", [1], .uint32),
                round: try graph.input("round", [1], .uint32))
            let y = try graph.randomNormal([model.tokens, model.tokenWidth], images: images, of: source)
            graph.output(y)
            let executor = try DeviceMemory(device).executor(graph)
            try executor.write([UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)], to: source.key)
            try executor.write(labels.map(Int32.init), to: source.labels)
            try executor.write([5] as [UInt32], to: source.firstImage)
            try executor.write([UInt32(round)], to: source.round)
            try executor.run()
            let got = try executor.read(y)
            #expect(got.count == want.count)
            let same = Double(zip(got, want).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }) / Double(want.count)
            let worst = zip(got, want).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < 1e-6)
            #expect(same > 0.5)
        }
    }

    @Test("guidance 1 is none, 0 is unconditional, and it extrapolates")
    func guidance() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            func draw(_ cfg: Float) throws -> [Float] { try sampler.tokens(labels: [1, 4], perLabel: 2, cfg: cfg, seed: 5) }
            let (conditional, unconditional) = (try draw(1), try draw(0))
            let (near, double) = (try draw(1.000001), try draw(2))
            for i in conditional.indices {
                #expect(abs(near[i] - conditional[i]) <= 1e-4)
                #expect(abs(double[i] - (2 * conditional[i] - unconditional[i])) <= 1e-4)
            }
            #expect(conditional != unconditional)
        }
    }

    @Test("both halves of guidance in one pass give the bits of two passes", arguments: [TeamShape.cpu16, .gpu])
    func onePass(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let state = try state(device)
            let (labels, perLabel, cfg) = ([1, 4, 9], 3, Float(2.5))
            let (model, decoder) = (state.model, try state.decoder)
            var random = TestNumbers(4)
            let count = labels.count * perLabel * model.tokens * model.tokenWidth
            let noise = (0..<count).map { _ in 2 * random.float() }
            let sampler = Sampler(model, memory: state.memory)
            let onePass = try sampler.tokens(labels: labels, perLabel: perLabel, cfg: cfg) { _, _, _ in noise }
            let conditional = try sampler.tokens(labels: labels, perLabel: perLabel, cfg: 1) { _, _, _ in noise }

            // The unconditional half by a graph of its own, in which one condition serves all images.
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout, storage: "ema")
            let condition = try sampler.condition(nil)
            let z = try graph.input("z", [1, model.tokens, decoder.shape.embed])
            let entropy = try graph.input("entropy", [1, model.tokens])
            let input = try graph.input(
                "noise", [labels.count * perLabel, model.tokens, model.tokenWidth])
            let tokens = try decoder.generate(z: z, entropy: entropy, noise: input, scope)
            graph.output(tokens)
            let executor = try state.memory.executor(graph)
            try executor.write(condition.z, to: z)
            try executor.write(condition.entropy, to: entropy)
            try executor.write(noise, to: input)
            try executor.run()
            let unconditional = try executor.read(tokens)
            for (index, value) in onePass.enumerated() {
                let (c, u) = (conditional[index], unconditional[index])
                // The device may contract the last product and sum; everything before it is the same.
                #expect(abs(value - (u + cfg * (c - u))) <= 4 * max(abs(u), cfg * abs(c - u)).ulp)
            }
            let alone = try sampler.tokens(labels: labels, perLabel: perLabel, cfg: 0) { _, _, _ in noise }
            #expect(alone == unconditional)
        }
    }

    @Test("what cannot be drawn is refused")
    func refused() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            #expect(errorText { _ = try sampler.tokens(labels: [10], perLabel: 1, seed: 0) }?.contains("0 to 9") == true)
            #expect(errorText { _ = try sampler.tokens(labels: [1], perLabel: 1, cfg: .nan, seed: 0) } != nil)
            for count in [Int.max, 1 << 40] {
                #expect(errorText { _ = try sampler.tokens(labels: [1, 2], perLabel: count, seed: 0) }?.contains("per-label") == true)
            }
            #expect(try sampler.tokens(labels: [], perLabel: 3, seed: 0).isEmpty)
        }
    }

    @Test("files of a set of samples")
    func files() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let folder = try TestFolder()
            let tokens = try Sampler(state.model, memory: state.memory).tokens(labels: [3, 8], perLabel: 2, seed: 1)
            let set = SampleSet(tokens: tokens, labels: [3, 8], perLabel: 2, configuration: TinyRun.pixels.configuration)
            try set.write(to: folder.path, arrays: true)
            #expect(
                try Files.names(in: folder.path) == [
                    "0003-00000.png", "0003-00001.png", "0008-00000.png", "0008-00001.png", "grid.png", "labels.npy",
                    "samples.json", "samples.npy",
                ])
            let samples = try NPY.read(folder.file("samples.npy"))
            #expect(samples.shape == [4, 1, 8, 8] && samples.floats == set.pixels)
            let labels = try NPY.read(folder.file("labels.npy"))
            #expect(labels.shape == [4] && labels.ints == [3, 3, 8, 8])
            #expect(set.pixels.allSatisfy { $0 >= -1 && $0 <= 1 })
            #expect(set.labels == [3, 3, 8, 8])
        }
    }
}
