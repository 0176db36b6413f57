import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

@Suite struct DiTSourceTests {
    /// A model whose blocks and conditions have been moved away from adaLN's zeros.
    private func state(_ device: Device) throws -> ModelState {
        let state = ModelState(try TinyRun.dit.configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        let random = Philox(seed: 8)
        let values = (0..<state.model.layout.count).map {
            0.2 * Float(random.normal(stream: 1, tensor: 0, element: $0))
        }
        try state.memory.write(values, to: state.model.layout.storage("ema"))
        return state
    }

    @Test("a picture depends on seed, label and number only")
    func batches() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let size = state.model.tokens * state.model.tokenWidth
            let all = try Sampler(state.model, memory: state.memory).tokens(labels: [0, 1, 2], perLabel: 5, seed: 9)
            #expect(all.count == 15 * size)
            #expect(all.allSatisfy { $0.isFinite })
            func picture(_ label: Int, _ number: Int) -> ArraySlice<Float> {
                all[((label * 5 + number) * size)..<((label * 5 + number + 1) * size)]
            }
            #expect(picture(0, 0) != picture(0, 1) && picture(0, 0) != picture(1, 0))
            for limit in [1, 3, 7] {
                let some = try Sampler(state.model, memory: state.memory, batchLimit: limit)
                    .tokens(labels: [2, 1, 2], perLabel: 4, seed: 9)
                for (row, label) in [2, 1, 2].enumerated() {
                    for number in 0..<4 {
                        let start = (row * 4 + number) * size
                        // The lanes that share a product depend on the batch.
                        let difference = zip(some[start..<(start + size)], picture(label, number)).map { abs($0 - $1) }
                        #expect(difference.allSatisfy { $0 < 1e-5 }, "limit \(limit), \(label)-\(number)")
                    }
                }
            }
        }
    }

    @Test("the strength of guidance is an input")
    func guidance() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            func draw(_ cfg: Float) throws -> [Float] { try sampler.tokens(labels: [1, 2], perLabel: 2, cfg: cfg, seed: 5) }
            let plain = try draw(1)
            #expect(try draw(2) != plain)
            #expect(try draw(1) == plain)
        }
    }

    @Test("what only Drift-AR can do is refused")
    func refusals() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            #expect(
                errorText { _ = try sampler.tokens(labels: [1], perLabel: 1, seed: 5, speculation: Speculation()) }?
                    .contains("no draft") == true)
            #expect(errorText { _ = try sampler.cacheLabels(in: .automatic) }?.contains("no encoder") == true)
            #expect(errorText { _ = try sampler.tokens(labels: [10], perLabel: 1, seed: 5) }?.contains("label 10") == true)
        }
    }
}
