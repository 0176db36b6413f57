import DriftGPU
import TestSupport
import Testing

@testable import DriftAR

@Suite(.serialized) struct SpeculativeLoopTests {
    private func state(_ device: Device) throws -> ModelState {
        let state = ModelState(
            try TinyRun.pixels.configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        return state
    }

    private static let labels = [2, 7, 2]

    @Test("without an accepted proposal the pictures are the plain ones", arguments: [Float(1), 2.5])
    func nothingAccepted(_ cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            func draw(_ speculation: Speculation?) throws -> [Float] {
                try sampler.tokens(labels: Self.labels, perLabel: 2, cfg: cfg, seed: 5, speculation: speculation)
            }
            let plain = try draw(nil)
            #expect(sampler.speculativeFigures.batches.isEmpty)
            #expect(try draw(Speculation(threshold: 0)) == plain)
            #expect(sampler.speculativeFigures.labels.map(\.accepted) == [0, 0, 0])
            #expect(try draw(Speculation(threshold: 1e6)) != plain)
            #expect(sampler.speculativeFigures.labels.suffix(3).allSatisfy { $0.acceptedLength == 16 && $0.accepted == 16 })
            // With a shift the first position has no proposal.
            _ = try draw(Speculation(threshold: 1e6, shift: 1))
            #expect(sampler.speculativeFigures.labels.suffix(3).allSatisfy { $0.acceptedLength == 15 && $0.accepted == 15 })
        }
    }

    @Test("under guidance everything accepted moves the prior alone; without, the decoder's condition too")
    func guidedPrior() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            let all = Speculation(threshold: 1e6)
            func draw(_ cfg: Float, _ speculation: Speculation?) throws -> [Float] {
                try sampler.tokens(labels: [4], perLabel: 3, cfg: cfg, seed: 1, speculation: speculation)
            }
            // The unconditional half knows nothing of the draft.
            #expect(try draw(0, all) == draw(0, nil))
            // Almost cfg 1, but the decoder is conditioned on z: neither the merged nor the plain picture.
            let (nearlyOne, merged, plain) = (try draw(1.000001, all), try draw(1, all), try draw(1, nil))
            let distance = { (a: [Float], b: [Float]) in zip(a, b).map { abs($0 - $1) }.max() ?? 0 }
            #expect(distance(nearlyOne, merged) > 1e-3 && distance(nearlyOne, plain) > 1e-3)
        }
    }

    @Test("only the last round is decoded, from its own noise")
    func lastRound() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            let sampler = Sampler(state.model, memory: state.memory)
            var asked: [Int] = []
            func draw(_ settings: Speculation) throws -> [Float] {
                try sampler.tokens(labels: [1, 3], perLabel: 2, cfg: 1, speculation: settings) { labels, images, round in
                    asked.append(round)
                    let count = labels.count * images.count * state.model.tokens * state.model.tokenWidth
                    return [Float](repeating: Float(round) / 4, count: count)
                }
            }
            let first = try draw(Speculation(threshold: 0))
            try sampler.reset()
            let third = try draw(Speculation(threshold: 0, iterations: 3))
            #expect(asked == [0, 2] && first != third)
            let figures = sampler.speculativeFigures
            #expect(figures.totalIterations == 3 && figures.totalPositions == 48 && !figures.endedEarly)
            // A tracker that has seen large entropies has high thresholds: the first round is the last.
            try state.memory.write([1000, 40, 0.5, 60] as [Float], to: SpeculativeLoop.tracker)
            #expect(try draw(Speculation(threshold: 0, iterations: 3)) == first)
            #expect(sampler.speculativeFigures.endedEarly && sampler.speculativeFigures.batches.last?.rounds == 1)
            // With seeds, too, a round has numbers of its own, and round 0 those of plain sampling.
            try sampler.reset()
            let settings = Speculation(threshold: 0, iterations: 2)
            let second = try sampler.tokens(labels: [1], perLabel: 1, seed: 8, speculation: settings)
            let plain = try sampler.tokens(labels: [1], perLabel: 1, seed: 8)
            try sampler.reset()
            #expect(second != plain)
            #expect(try sampler.tokens(labels: [1], perLabel: 1, seed: 8, speculation: settings) == second)
        }
    }

    @Test("the tracker goes on over batches, each image counts, and reset forgets")
    func tracker() throws {
        try TestDevice.with(.cpu16) { device in
            let state = try state(device)
            func counts(batchLimit: Int) throws -> (count: Float, mean: Float, batches: Int) {
                let sampler = Sampler(state.model, memory: state.memory, batchLimit: batchLimit)
                try sampler.reset()
                _ = try sampler.tokens(labels: [0, 1, 2, 3], perLabel: 5, seed: 0, speculation: Speculation())
                let values = try state.memory.read(Float.self, from: SpeculativeLoop.tracker)
                return (values[0], values[1], sampler.speculativeFigures.batches.count)
            }
            let (together, apart, pieces) = (try counts(batchLimit: 100), try counts(batchLimit: 10), try counts(batchLimit: 2))
            #expect(together.batches == 1 && apart.batches == 2 && pieces.batches == 12)
            for other in [together, apart, pieces] {
                #expect(other.count == 4 * 5 * 16 && abs(other.mean - together.mean) < 1e-5)
            }
            let sampler = Sampler(state.model, memory: state.memory)
            try sampler.reset()
            #expect(try state.memory.read(Float.self, from: SpeculativeLoop.tracker) == [0, 0, 0, 0])
        }
    }

    @Test("settings out of range are refused by name")
    func refused() throws {
        let wrong: [(Speculation, String)] = [
            (Speculation(threshold: -1), "spec-threshold"), (Speculation(threshold: .nan), "spec-threshold"),
            (Speculation(gamma: -0.1), "spec-gamma"), (Speculation(gamma: .infinity), "spec-gamma"),
            (Speculation(iterations: 0), "spec-iterations"), (Speculation(iterations: .max), "spec-iterations"),
            (Speculation(shift: -1), "spec-shift"), (Speculation(shift: 16), "spec-shift"),
        ]
        for (settings, name) in wrong {
            #expect(errorText { try settings.validate(tokens: 16) }?.hasPrefix(name) == true, "\(settings)")
        }
        try Speculation(threshold: .infinity, gamma: 0, iterations: 1000, shift: 15).validate(tokens: 16)
    }
}
