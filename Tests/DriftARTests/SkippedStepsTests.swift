import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct SkippedStepsTests {
    @Test("skipped steps are counted as far as they are certain")
    func counted() {
        var skipped = SkippedSteps(step: 10, counted: 10)
        skipped.observe(step: 11, counted: 11, last: true)
        #expect(skipped.inARow == 0 && skipped.hasCounted)
        // Of ten steps two counted, and the last did not.
        skipped.observe(step: 21, counted: 13, last: false)
        #expect(skipped.inARow == 1)
        skipped.observe(step: 31, counted: 13, last: false)
        #expect(skipped.inARow == 11)
        #expect(!skipped.isDiverged(limit: 12, atEnd: false) && skipped.isDiverged(limit: 11, atEnd: false))
        #expect(skipped.isDiverged(limit: 50, atEnd: true) && !skipped.isDiverged(limit: 0, atEnd: true))
        skipped.observe(step: 32, counted: 14, last: true)
        #expect(skipped.inARow == 0 && !skipped.isDiverged(limit: 1, atEnd: true))
        skipped.observe(step: 33, counted: 14, last: false)
        #expect(!skipped.isDiverged(limit: 50, atEnd: true), "one step among others")

        var never = SkippedSteps(step: 4, counted: 4)
        never.observe(step: 5, counted: 4, last: false)
        #expect(never.isDiverged(limit: 50, atEnd: true) && !never.isDiverged(limit: 50, atEnd: false))
    }

    @Test("a checkpoint waits for a step that counts, older ones for one that counts after it")
    func turns() {
        var turns = CheckpointTurns(isSaved: false)
        turns.step(isDue: false, isLast: false)
        #expect(!turns.needsCount && !turns.isTurn(afterSkipped: false))
        turns.step(isDue: true, isLast: false)
        #expect(turns.needsCount && !turns.isTurn(afterSkipped: true))
        turns.step(isDue: false, isLast: false)
        #expect(turns.isTurn(afterSkipped: false))
        #expect(turns.saved(3, isGood: true) == nil)
        turns.step(isDue: false, isLast: false)
        #expect(turns.needsCount && turns.unconfirmed == 3)
        #expect(turns.confirm() == 3 && turns.unconfirmed == nil && turns.confirm() == nil)
        turns.step(isDue: false, isLast: true)
        #expect(turns.isTurn(afterSkipped: true))
        #expect(turns.saved(5, isGood: false) == nil && turns.unconfirmed == nil)
        turns.step(isDue: false, isLast: true)
        #expect(turns.saved(6, isGood: true) == 6)
    }

    /// Larger than any step can survive.
    private static let hopeless = 1e30

    @Test("a run that diverges ends with an error and keeps its good checkpoints")
    func diverged() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            func change(_ configuration: inout Configuration) {
                configuration.run.checkpointEvery = 1
                configuration.run.keepCheckpoints = 2
                configuration.stage.label?.freezeFraction = 1
            }
            #expect(try TinyRun.pixels.run(path, device, change: change) == .finished)
            let checkpoints = RunFolder(path).checkpoints
            #expect(try checkpoints.steps() == [5, 6])
            let good = try Files.read(checkpoints.folder(of: 6) + "/ema.safetensors")
            func goOn(_ more: @escaping (inout Configuration) -> Void) -> String {
                errorText {
                    _ = try TinyRun.pixels.run(path, device, existing: .resume) { configuration in
                        change(&configuration)
                        (configuration.run.steps, configuration.optimizer.learningRate, configuration.optimizer.warmupSteps) = (60, Self.hopeless, 0)
                        configuration.optimizer.schedule = .constant
                        more(&configuration)
                    }
                } ?? "accepted"
            }
            let rare = goOn { ($0.run.checkpointEvery, $0.run.stopAfterSkipped) = (4, 5) }
            #expect(rare.contains("diverged at step ") && rare.contains("from step 6 ") && rare.contains("--lr"), "\(rare)")
            #expect(try checkpoints.steps() == [5, 6])
            // The step that ruins the weights still counts, and its checkpoint is written.
            let often = goOn { $0.run.stopAfterSkipped = 5 }
            #expect(often.contains("remove \(checkpoints.folder(of: 7)), then go on from step 6"), "\(often)")
            #expect(try checkpoints.steps() == [5, 6, 7])
            #expect(try Files.read(checkpoints.folder(of: 6) + "/ema.safetensors") == good)
            try Files.removeTree(checkpoints.folder(of: 7))
            // Fewer steps than the limit, and none counts: no success either.
            let short = goOn { ($0.run.steps, $0.run.stopAfterSkipped, $0.run.checkpointEvery) = (25, 50, 0) }
            #expect(short.contains("diverged at step 25"), "\(short)")
            #expect(try TinyRun.pixels.run(path, device, existing: .resume) { $0.run.steps = 7 } == .finished)
        }
    }

    @Test("weights that are no numbers are not saved")
    func notFinite() throws {
        try TestDevice.with(.cpu16) { device in
            let trainer = try TinyRun.pixels.trainer(device)
            #expect(try trainer.hasFiniteWeights())
            for name in ["parameters", "ema"] {
                let storage = trainer.state.model.layout.storage(name)
                let before = try trainer.state.memory.read(Float.self, from: storage, at: storage.count - 1, count: 1)
                try trainer.state.memory.write([-Float.infinity], to: storage, at: storage.count - 1)
                #expect(try !trainer.hasFiniteWeights())
                try trainer.state.memory.write(before, to: storage, at: storage.count - 1)
            }
            let folder = try TestFolder()
            let message = errorText {
                _ = try TinyRun.pixels.run(folder.file("run"), device) {
                    ($0.optimizer.learningRate, $0.optimizer.warmupSteps, $0.optimizer.schedule, $0.run.checkpointEvery) = (1e300, 0, .constant, 1)
                }
            }
            #expect(message?.contains("diverged at step 1: weights are not finite") == true, "\(message ?? "accepted")")
            #expect(try RunFolder(folder.file("run")).checkpoints.steps().isEmpty)
        }
    }

    @Test("what a step changes is kept by a checkpoint unless it is written anew", arguments: TinyRun.allCases, [1, 2])
    func keptState(_ kind: TinyRun, parts: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let rings = ["negative_bank", "positive_bank"].flatMap { bank in
                ["count", "entries", "position"].map { bank + "." + $0 }
            }
            for isSecond in [false, true] {
                let trainer = try kind.trainer(device) {
                    $0.run.accumulate = parts
                    if isSecond { $0.stage.label?.freezeFraction = 0 }
                }
                let names = try trainer.extraStorages().map(\.name)
                #expect(names == ["counters"] + (kind == .tokens ? rings : []))
            }
        }
    }

    /// A head that writes to a storage and does not say how long that is needed.
    private struct Forgetful: Head {
        let inner: any Head
        var kind: String { inner.kind }
        var declarations: [ParameterDeclaration] { inner.declarations }
        var needs: StepNeeds { inner.needs }

        func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep {
            try scope.graph.place(scope.graph.fill([1], with: 1), in: Storage("forgotten", count: 1), at: 0)
            return try inner.loss(condition, step, scope)
        }

        func draw(_ drawing: DrawingInputs, _ scope: ParameterScope) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
            try inner.draw(drawing, scope)
        }
    }

    @Test("a storage that a step changes and that declares no lifetime is an error, not a gap in a checkpoint")
    func undeclared() throws {
        try TestDevice.with(.cpu16) { device in
            let configuration = TinyRun.dit.configuration
            let plain = try configuration.makeGenerator()
            let generator = try Generator(
                plain.stage, Forgetful(inner: plain.head), classes: plain.classes, tokens: plain.tokens, tokenWidth: plain.tokenWidth)
            let state = ModelState(generator, memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let trainer = try Trainer(configuration, state: state, data: TinyRun.data())
            #expect(errorText { _ = try trainer.extraStorages() }?.hasPrefix("storage forgotten: a step changes it") == true)
        }
    }
}
