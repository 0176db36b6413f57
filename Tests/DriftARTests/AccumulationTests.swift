import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct AccumulationTests {
    /// Weights stand still: what the parts of one step draw is then what as many steps draw.
    private func still(_ kind: TinyRun, _ device: Device, parts: Int) throws -> Trainer {
        try kind.trainer(device) {
            $0.optimizer.learningRate = 0
            $0.stage.label?.alpha0 = 0
            $0.stage.label?.freezeFraction = 1
            $0.optimizer.clip = 1e-3
            $0.run.accumulate = parts
        }
    }

    private func gradients(_ trainer: Trainer, _ name: String = "gradients") throws -> [Float] {
        try trainer.state.memory.read(Float.self, from: trainer.state.model.layout.storage(name))
    }

    @Test("the gradient of a step in parts is the mean of its parts', and so are the losses", arguments: TinyRun.allCases)
    func mean(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let single = try still(kind, device, parts: 1)
            var (parts, logs): ([[Float]], [[(String, Double)]]) = ([], [])
            for _ in 0..<2 {
                try single.advance()
                parts.append(try gradients(single))
                logs.append(try single.metrics())
            }
            #expect(parts[0] != parts[1])
            let mean = zip(parts[0], parts[1]).map { (Double($0) + Double($1)) / 2 }

            let trainer = try still(kind, device, parts: 2)
            try trainer.advance()
            #expect(trainer.step == 1)
            #expect(try gradients(trainer, UpdateGraph.gradientSumName) == mean.map(Float.init))
            let log = try trainer.metrics()
            for (index, (name, value)) in log.enumerated() {
                let (first, second) = (logs[0][index], logs[1][index])
                #expect(first.0 == name && second.0 == name)
                guard !["gradient_norm", "lr", "alpha", "skipped"].contains(name) else { continue }
                #expect(abs(value - (first.1 + second.1) / 2) <= 1e-6 * abs(value), "\(name)")
            }

            // Clipping and the moments see the mean.
            let norm = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(abs((log.first { $0.0 == "gradient_norm" }?.1 ?? 0) - norm) < 1e-5 * norm)
            let moment = try trainer.snapshot()["moment1"] ?? []
            let rate = (1 - trainer.configuration.optimizer.beta1) * min(1, 1e-3 / (norm + 1e-6))
            let largest = mean.map(abs).max() ?? 0
            #expect(norm > 1e-3 && largest > 0)
            #expect(zip(moment, mean).allSatisfy { abs(Double($0) - rate * $1) <= 1e-5 * rate * largest })
        }
    }

    @Test("three parts give the bits of three gradients added in order and divided once")
    func threeParts() throws {
        try TestDevice.with(.cpu16) { device in
            let single = try still(.pixels, device, parts: 1)
            var sum: [Float] = []
            for part in 0..<3 {
                try single.advance()
                let gradient = try gradients(single)
                sum = part == 0 ? gradient : zip(sum, gradient).map { $0 + $1 }
            }
            let trainer = try still(.pixels, device, parts: 3)
            try trainer.advance()
            let top = PartSums.top(UpdateGraph.gradientSum(trainer.state.model.layout), parts: 3)
            #expect(try gradients(trainer, top.name) == sum.map { $0 * (1 / Float(3)) })
        }
    }

    @Test("a part that is not finite skips the whole step, and no later one")
    func notFinite() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device) { $0.run.accumulate = 2 }
            try trainer.advance()
            let before = try trainer.snapshot()
            // What the sums hold when a step begins must not matter.
            let layout = trainer.state.model.layout
            try trainer.state.memory.write(
                [Float](repeating: .nan, count: layout.count), to: UpdateGraph.gradientSum(layout))
            try trainer.advance()
            let after = try trainer.snapshot()
            #expect(!isSame(before, after) && after.values.allSatisfy { $0.allSatisfy(\.isFinite) })
            let data = try TinyRun.data()
            let images = PartGraph.imageStorage(count: data.count, values: data.imageSize)
            try trainer.state.memory.write([Float](repeating: .nan, count: images.count), to: images)
            try trainer.advance()
            #expect(isSame(after, try trainer.snapshot()))
            #expect(try trainer.metrics().first { $0.0 == "skipped" }?.1 == 1)
            try trainer.state.memory.write(data.images, to: images)
            try trainer.advance()
            let last = try trainer.snapshot()
            #expect(!isSame(after, last) && last.values.allSatisfy { $0.allSatisfy(\.isFinite) })
        }
    }

    /// An exchange that spoils what it is given, from the second time on.
    private final class Spoiling: GradientExchange {
        let (rank, processes, overlaps) = (0, 1, false)
        var calls: [[String]] = []

        func agree(_ wishes: RunWishes, failure: (any Error)?) throws -> RunWishes { wishes }

        func buckets(_ storages: [Storage]) -> [ExchangeBucket] { storages.map { ExchangeBucket(storage: $0, range: 0..<$0.count) } }

        func sum(_ buckets: [ExchangeBucket], ready marks: [DeviceEvent?], in memory: DeviceMemory) throws {
            calls.append(buckets.map(\.storage.name))
            guard calls.count > 1 else { return }
            try memory.write([Float](repeating: .nan, count: buckets[0].storage.count), to: buckets[0].storage)
        }
    }

    @Test("the exchange stands between the parts and the update, which takes what it leaves", arguments: [1, 2])
    func exchange(_ parts: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let spoiling = Spoiling()
            let trainer = try TinyRun.pixels.trainer(device, exchange: spoiling) { $0.run.accumulate = parts }
            try trainer.advance()
            #expect(try trainer.countedSteps() == 1)
            let before = try trainer.snapshot()
            try trainer.advance()
            #expect(try trainer.countedSteps() == 1 && isSame(before, trainer.snapshot()))
            #expect(spoiling.calls == [[parts > 1 ? "gradient_mean" : "gradients", "loss_mean_phase1"]] + [spoiling.calls[0]])
        }
    }

    @Test("images that are read ahead arrive in the right part")
    func readAhead() throws {
        try TestDevice.with(.cpu16) { device in
            let snapshots = try [Residency.always, .never].map { resident in
                let trainer = try TinyRun.pixels.trainer(device) { ($0.run.accumulate, $0.data.resident) = (3, resident) }
                for _ in 0..<4 { try trainer.advance() }
                return try trainer.snapshot()
            }
            #expect(isSame(snapshots[0], snapshots[1]))
        }
    }

    @Test("an interrupted and resumed run in parts is the uninterrupted one, bit for bit", arguments: TinyRun.allCases, [1, 4])
    func resume(_ kind: TinyRun, stop: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let (whole, halves) = (folder.file("whole"), folder.file("halves"))
            let change: (inout Configuration) -> Void = { ($0.run.accumulate, $0.run.gradCheckpointing) = (3, true) }
            #expect(try kind.run(whole, device, change: change) == .finished)
            #expect(try kind.run(halves, device, stopAt: stop, change: change) == .interrupted)
            #expect(try kind.run(halves, device, existing: .resume, change: change) == .finished)
            for name in ["model", "ema", "state"] {
                let file = "/checkpoints/step-00000006/\(name).safetensors"
                #expect(try Files.read(whole + file) == Files.read(halves + file), "\(name)")
            }
            #expect(try Files.read(whole + "/metrics.jsonl") == Files.read(halves + "/metrics.jsonl"))
        }
    }
}
