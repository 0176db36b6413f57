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
        (tiny.network.embed, tiny.network.heads, tiny.network.mlpRatio) = (16, 2, 2)
        (tiny.run.labelsPerStep, tiny.run.samplesPerLabel, tiny.loss.positives) = (3, 3, 5)
        (tiny.run.steps, tiny.optimizer.warmupSteps) = (6, 2)
        (tiny.network.dropout, tiny.run.labelDrop, tiny.run.seed) = (0.1, 0.3, 7)
        (tiny.run.logEvery, tiny.run.sampleEvery, tiny.run.checkpointEvery) = (1, 0, 0)
        if self == .dit {
            tiny.adopt(.dit)
            (tiny.network.dropout, tiny.loss.negatives) = (0, 4)
            var dit = DiTHeadSettings()
            (dit.rope, dit.qkNorm, dit.swiglu, dit.guidanceMax) = (true, true, true, 3)
            tiny.head = HeadSettings(dit)
        } else {
            var label = LabelStageSettings()
            (label.buffer, label.encoderDepth, label.draftDepth, label.freezeFraction) = (2, 1, 1, 0.5)
            tiny.stage = StageSettings(label)
        }
        tiny.head.depth = 1
        switch self {
        case .pixels, .dit: break
        case .phi: tiny.loss.features = .both
        case .tokens:
            (tiny.loss.groups, tiny.loss.positives, tiny.loss.negatives) = (.tokens, 2, 2)
            (tiny.loss.positiveBank, tiny.loss.negativeBank) = (4, 7)
        }
        return tiny
    }

    static func data() throws -> Dataset { try OptDigits.split().training }

    /// A trainer of its own memory, at the start.
    func trainer(
        _ device: Device, options: Schedule.Options = Schedule.Options(), exchange: any GradientExchange = SingleProcess(),
        change: (inout Configuration) -> Void = { _ in }
    ) throws -> Trainer {
        var configuration = configuration
        change(&configuration)
        let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
        try state.initialize(seed: configuration.run.seed)
        return try Trainer(configuration, state: state, data: ImageSet(Self.data()), options: options, exchange: exchange)
    }

    /// A run in a folder, silent.
    func run(
        _ path: String, _ device: Device, existing: TrainingRun.Existing = .refuse, stopAt: Int? = nil,
        change: (inout Configuration) -> Void = { _ in }
    ) throws -> TrainingRun.Ending {
        var configuration = configuration
        change(&configuration)
        let run = try TrainingRun(configuration, data: ImageSet(Self.data()), path: path, existing: existing, device: device)
        let progress = ProgressLine(total: configuration.run.steps, output: .custom(columns: nil, { _ in }))
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
    /// The stage where it is the one that encodes labels.
    var labelStage: LabelStage {
        get throws { try #require(model.stage as? LabelStage) }
    }

    /// The head where it is the drift decoder.
    var decoder: DecoderHead {
        get throws { try #require(model.head as? DecoderHead) }
    }

    /// What a sampler of the EMA needs.
    var sampling: SamplingContext { SamplingContext(StoredWeights(model.layout, buffer: "ema"), memory: memory) }
}

/// Whether two snapshots agree bit for bit.
func isSame(_ a: [String: [Float]], _ b: [String: [Float]]) -> Bool {
    a.keys == b.keys && a.allSatisfy { name, values in values.map(\.bitPattern) == b[name]?.map(\.bitPattern) }
}
