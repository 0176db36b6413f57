import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats
@testable import DriftReport

@Suite(.serialized) struct OnlineEvaluationTests {
    private let names = ["accuracy", "diversity", "nearest_distance"]

    @Test("evaluations while training change no bit of it, and are logged")
    func changesNothing() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let (plain, judged) = (folder.file("plain"), folder.file("judged"))
            #expect(try TinyRun.tokens.run(plain, device) { $0.run.logEvery = 5 } == .finished)
            #expect(
                try TinyRun.tokens.run(judged, device) { ($0.run.logEvery, $0.run.onlineEval, $0.run.onlineEvalImages) = (5, 2, 3) }
                    == .finished)
            for name in ["model", "ema", "state"] {
                let file = "/checkpoints/step-00000006/\(name).safetensors"
                let (a, b) = (try SafeTensorsFile(plain + file), try SafeTensorsFile(judged + file))
                #expect(try a.tensors() == b.tensors(), "\(name)")
            }
            func lines(_ path: String) throws -> [JSON] {
                try String(decoding: Files.read(path + "/metrics.jsonl"), as: UTF8.self).split(separator: "\n")
                    .map { try JSON.parse(Array($0.utf8)) }
            }
            let (without, with) = (try lines(plain), try lines(judged))
            #expect(without.map { $0["step"]?.integer } == [1, 5, 6])
            #expect(with.map { $0["step"]?.integer } == [1, 2, 4, 5, 6])
            #expect(without.allSatisfy { line in names.allSatisfy { line[$0] == nil } })
            for line in with {
                let isJudged = (line["step"]?.integer ?? 0) % 2 == 0
                for name in names { #expect((line[name] != nil) == isJudged, "\(name)") }
            }
            // The other figures of a step are the same in both logs.
            for line in without {
                let twin = with.first { $0["step"]?.integer == line["step"]?.integer }
                for member in line.members ?? [] { #expect(twin?[member.key]?.text == member.value.text, "\(member.key)") }
            }
        }
    }

    @Test("the figures are those of driftgpu eval, for the weights that were asked for")
    func figures() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let data = try TinyRun.data()
            var accuracies: [[Double]] = []
            for weights in RunSettings.Weights.allCases {
                var configuration = TinyRun.pixels.configuration
                (configuration.run.evalWeights, configuration.run.onlineEval, configuration.run.onlineEvalImages) = (weights, 1, 4)
                configuration.optimizer.ema = 0.9
                let run = try TrainingRun(
                    configuration, data: ImageSet(data), path: folder.file(weights.rawValue), existing: .refuse, device: device)
                for _ in 0..<4 { try run.trainer.advance() }
                let figures = try run.evaluate()
                #expect(figures.map(\.0) == names)
                try run.folder.save(run.trainer)
                let saved = try SavedModel(folder.file(weights.rawValue), weights: weights.rawValue)
                let state = try saved.load(into: DeviceMemory(device))
                let labels = Array(0..<10)
                let tokens = try Sampler(state.model, memory: state.memory)
                    .tokens(labels: labels, perLabel: 4, seed: configuration.run.seed)
                let samples = try SampleSet(tokens: tokens, labels: labels, perLabel: 4, configuration: configuration)
                    .dataset(classNames: data.classNames)
                let own = try ImageFigures(of: samples, against: data)
                #expect(figures.map(\.1) == [own.accuracy, own.diversity ?? -1, own.nearestDistance ?? -1])
                accuracies.append(figures.map(\.1))
            }
            #expect(accuracies[0] != accuracies[1])
        }
    }
}
