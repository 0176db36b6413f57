import DriftGPU
import TestSupport
import Testing

@testable import DriftAR

@Suite(.serialized) struct SamplerTests {
    private func state(_ device: Device) throws -> ModelState {
        let configuration = TinyRun.pixels.configuration
        let state = ModelState(try DriftARModel(DriftARModel.Shape(configuration)), memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        return state
    }

    @Test("a picture depends on seed, label and number only")
    func batches() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let size = state.model.shape.tokens * state.model.shape.tokenWidth
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
                    "samples.npy",
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
