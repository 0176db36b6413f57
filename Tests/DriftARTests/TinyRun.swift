import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// The kinds of runs that keep different things between steps.
enum TinyRun: String, CaseIterable, Sendable {
    case pixels, phi, tokens, dit

    /// A run of a second or so on the digits: both phases, dropout, dropped labels.
    var configuration: Configuration {
        var tiny = Configuration()
        (tiny.embed, tiny.heads, tiny.mlpRatio, tiny.buffer) = (16, 2, 2, 2)
        (tiny.encoderDepth, tiny.decoderDepth, tiny.draftDepth) = (1, 1, 1)
        (tiny.labelsPerStep, tiny.samplesPerLabel, tiny.positives) = (3, 3, 5)
        (tiny.steps, tiny.warmupSteps, tiny.freezeFraction) = (6, 2, 0.5)
        (tiny.dropout, tiny.labelDrop, tiny.seed) = (0.1, 0.3, 7)
        (tiny.logEvery, tiny.sampleEvery, tiny.checkpointEvery) = (1, 0, 0)
        switch self {
        case .pixels: break
        case .phi: tiny.features = .both
        case .dit:
            (tiny.model, tiny.dropout, tiny.negatives, tiny.guidanceMax) = (.dit, 0, 4, 3)
            (tiny.rope, tiny.qkNorm, tiny.swiglu) = (true, true, true)
        case .tokens:
            (tiny.groups, tiny.positives, tiny.negatives) = (.tokens, 2, 2)
            (tiny.positiveBank, tiny.negativeBank) = (4, 7)
        }
        return tiny
    }

    static func data() throws -> Dataset { try OptDigits.split().training }

    /// A trainer of its own memory, at the start.
    func trainer(
        _ device: Device, options: Schedule.Options = Schedule.Options(), change: (inout Configuration) -> Void = { _ in }
    ) throws -> Trainer {
        var configuration = configuration
        change(&configuration)
        let state = ModelState(try configuration.makeModel(), memory: DeviceMemory(device))
        try state.initialize(seed: configuration.seed)
        return try Trainer(configuration, state: state, data: Self.data(), options: options)
    }

    /// A run in a folder, silent.
    func run(
        _ path: String, _ device: Device, existing: TrainingRun.Existing = .refuse, stopAt: Int? = nil,
        change: (inout Configuration) -> Void = { _ in }
    ) throws -> TrainingRun.Ending {
        var configuration = configuration
        change(&configuration)
        let run = try TrainingRun(configuration, data: ImageSet(Self.data()), path: path, existing: existing, device: device)
        let progress = ProgressLine(total: configuration.steps, output: .custom(columns: nil, { _ in }))
        return try run.train(progress: progress, shouldStop: { run.trainer.step == stopAt })
    }
}

extension Trainer {
    /// Parameters, EMA and moments after the steps so far.
    func snapshot() throws -> [String: [Float]] {
        var result: [String: [Float]] = [:]
        for name in ["parameters", "ema", "moment1", "moment2"] {
            result[name] = try state.memory.read(Float.self, from: state.model.layout.storage(name))
        }
        try state.memory.device.finish()
        return result
    }
}

extension ModelState {
    /// The model where it is Drift-AR.
    var driftAR: DriftARModel {
        get throws { try #require(model as? DriftARModel) }
    }
}

/// Whether two snapshots agree bit for bit.
func isSame(_ a: [String: [Float]], _ b: [String: [Float]]) -> Bool {
    a.keys == b.keys && a.allSatisfy { name, values in values.map(\.bitPattern) == b[name]?.map(\.bitPattern) }
}
