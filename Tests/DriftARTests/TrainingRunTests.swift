import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftGPU

@Suite(.serialized) struct TrainingRunTests {
    /// Every file of the last checkpoint, and the log.
    private func artefacts(_ path: String, step: Int) throws -> [String: [UInt8]] {
        let folder = RunFolder(path)
        let checkpoint = try folder.checkpoints.open(step: step)
        var result = try Dictionary(uniqueKeysWithValues: checkpoint.files.map { ($0, try checkpoint.bytes($0)) })
        result["metrics"] = try Files.read(folder.metricsPath)
        return result
    }

    @Test("an interrupted and resumed run is the uninterrupted one, bit for bit", arguments: TinyRun.allCases, [1, 3, 5])
    func resume(_ kind: TinyRun, stop: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let (whole, parts) = (folder.file("whole"), folder.file("parts"))
            #expect(try kind.run(whole, device) == .finished)
            #expect(try kind.run(parts, device, stopAt: stop) == .interrupted)
            #expect(try RunFolder(parts).checkpoints.steps() == [stop])
            #expect(try kind.run(parts, device, existing: .resume) == .finished)
            let steps = kind.configuration.run.steps
            let (a, b) = (try artefacts(whole, step: steps), try artefacts(parts, step: steps))
            #expect(a.keys.sorted() == b.keys.sorted())
            for name in a.keys { #expect(a[name] == b[name], "\(name)") }
            let log = String(decoding: b["metrics"] ?? [], as: UTF8.self).split(separator: "\n")
            #expect(try log.map { try JSON.parse(Array($0.utf8))["step"]?.integer } == Array(1...steps))
        }
    }

    @Test("saving and loading hold one tensor at a time", arguments: TinyRun.allCases)
    func streams(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let trainer = try kind.trainer(device)
            try trainer.advance()
            try device.finish()
            let driver = device.commands.driver
            defer { device.commands.driver = driver }
            var reads: [Int] = []
            device.commands.driver.read = { queue, buffer, offset, count, target in
                reads.append(count)
                return driver.read(queue, buffer, offset, count, target)
            }
            let run = RunFolder(folder.file("run"))
            try run.save(trainer)
            device.commands.driver = driver

            let layout = trainer.state.model.layout
            let extra = try trainer.extraStorages().map { $0.count * 4 }
            let largest = max(layout.entries.map { $0.count * 4 }.max() ?? 0, extra.max() ?? 0)
            #expect(reads.max() == largest && largest * 4 < layout.count * 4 * 4)
            #expect(reads.reduce(0, +) == 4 * layout.parameterCount * 4 + extra.reduce(0, +))

            let state = ModelState(trainer.state.model, memory: DeviceMemory(device))
            let restored = try run.restore(
                step: 1, configuration: trainer.configuration, state: state, data: ImageSet(TinyRun.data()))
            #expect(try isSame(restored.snapshot(), trainer.snapshot()))
        }
    }

    @Test("what an evaluation draws takes nothing from the metrics of its step")
    func judgedSteps() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            for (name, every) in [("plain", 0), ("judged", 2)] {
                #expect(try TinyRun.pixels.run(folder.file(name), device) { ($0.run.onlineEval, $0.run.onlineEvalImages) = (every, 2) } == .finished)
            }
            let losses = try ["plain", "judged"].map { name in
                try folder.text("\(name)/metrics.jsonl").split(separator: "\n").map { try JSON.parse(Array($0.utf8))["loss"]?.text }
            }
            #expect(losses[0] == losses[1] && losses[0].count == 6 && losses[0].allSatisfy { $0 != nil })
        }
    }

    @Test("steps after the checkpoint are logged once when the run is killed and resumed")
    func killed() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            #expect(try TinyRun.pixels.run(path, device) { $0.run.checkpointEvery = 2 } == .finished)
            // What a run killed in its last step leaves.
            let checkpoints = RunFolder(path).checkpoints
            try checkpoints.removeAll(after: 4)
            let log = try folder.text("run/metrics.jsonl")
            #expect(try TinyRun.pixels.run(path, device, existing: .resume) == .finished)
            #expect(try folder.text("run/metrics.jsonl") == log)
        }
    }

    @Test("a folder with a run is not touched unless asked")
    func existing() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            #expect(try TinyRun.pixels.run(path, device) == .finished)
            #expect(errorText { _ = try TinyRun.pixels.run(path, device) }?.contains("--resume") == true)
            // Settings that cannot be trained must not cost the run that is there.
            #expect(errorText { _ = try TinyRun.pixels.run(path, device, existing: .overwrite) { $0.data.height = 16 } } != nil)
            #expect(try RunFolder(path).checkpoints.steps() == [6])
            #expect(try TinyRun.pixels.run(path, device, existing: .resume) == .finished)
            #expect(try TinyRun.pixels.run(path, device, existing: .overwrite) { $0.run.steps = 2 } == .finished)
            #expect(try RunFolder(path).checkpoints.steps() == [2])
        }
    }

    @Test("what cannot be resumed says why")
    func refused() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            #expect(try TinyRun.tokens.run(path, device) { $0.run.checkpointEvery = 3 } == .finished)
            func error(_ change: @escaping (inout Configuration) -> Void) -> String? {
                errorText { _ = try TinyRun.tokens.run(path, device, existing: .resume, change: change) }
            }
            let shape = error { $0.network.embed = 32 }
            #expect(shape?.contains("model.safetensors") == true && shape?.contains("32") == true, "\(shape ?? "")")
            let bank = error { $0.loss.positiveBank = 5 }
            #expect(bank?.contains("positive_bank") == true, "\(bank ?? "")")
            let file = "run/checkpoints/step-00000006/ema.safetensors"
            let good = try Files.read(folder.file(file))
            var bad = good
            bad[bad.count - 5] ^= 0x40
            for bytes in [bad, Array(good.dropLast(100))] {
                try folder.write(bytes, to: file)
                let damaged = error { _ in }
                #expect(damaged?.contains(file) == true && damaged?.contains("step-00000003") == true, "\(damaged ?? "")")
                #expect(errorText { _ = try SavedModel(path) }?.contains(file) == true)
            }
            try Files.removeTree(folder.file("run/checkpoints/step-00000006"))
            #expect(try TinyRun.tokens.run(path, device, existing: .resume) { $0.run.checkpointEvery = 3 } == .finished)
            #expect(try Files.read(folder.file(file)) == good)
        }
    }
}
