import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// What every stage with every head it goes with must do, from the lists of both: a new one is tested by being there.
@Suite struct GeneratorTests {
    struct Pair: CustomTestStringConvertible, Sendable {
        let stage: String
        let head: String
        var testDescription: String { "\(stage) x \(head)" }
    }

    private static let all = StageSettings.kinds.flatMap { stage in HeadSettings.kinds.map { Pair(stage: stage, head: $0) } }
    private static let pairs = all.filter { HeadSettings.stages(of: $0.head).contains($0.stage) }

    private static func tiny(_ pair: Pair) throws -> Configuration {
        var tiny = TinyRun.pixels.configuration
        tiny.network.dropout = 0
        tiny = try tiny.merging(
            json: Data(#"{"stage": {"kind": "\#(pair.stage)"}, "head": {"kind": "\#(pair.head)"}}"#.utf8), from: "x")
        // Each round has kernels of its own to compile.
        tiny.stage.mar?.rounds = 4
        // As many as a label has images.
        tiny.stage.mrar?.images = 3
        if tiny.head.autoencoder != nil {
            tiny.data.patch = 1
            tiny.head.autoencoder?.width = 8
            tiny.head.autoencoder?.multipliers = [1, 2]
        }
        return tiny
    }

    @Test("lists are the folders'", arguments: [("Stages", "Stage", StageSettings.kinds.count), ("Heads", "Head", HeadSettings.kinds.count)])
    func listed(_ folder: String, _ ending: String, _ count: Int) throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/DriftAR")
        let names = try Files.names(in: sources.appendingPathComponent(folder).path).filter { $0.hasSuffix(ending + ".swift") }
        let table = try String(contentsOf: sources.appendingPathComponent("Configuration/KindTable.swift"), encoding: .utf8)
        #expect(names.count == count && names.allSatisfy { table.contains(" \($0.dropLast(6))Settings.self,") }, "run Scripts/tables, or make")
    }

    @Test("kinds have names of their own, every stage has a head, and settings come back from their JSON")
    func names() throws {
        for kinds in [StageSettings.kinds, HeadSettings.kinds] { #expect(Set(kinds).count == kinds.count) }
        #expect(Set(Self.pairs.map(\.stage)) == Set(StageSettings.kinds) && Set(Self.pairs.map(\.head)) == Set(HeadSettings.kinds))
        for pair in Self.pairs {
            let configuration = try Self.tiny(pair)
            try configuration.validate()
            #expect(try Configuration().merging(json: configuration.json(), from: "x") == configuration)
            let generator = try configuration.makeGenerator()
            #expect(generator.stage.kind == pair.stage && generator.head.kind == pair.head)
        }
    }

    @Test("pairs that do not go together are refused in one line", arguments: all)
    func refused(_ pair: Pair) throws {
        let message = errorText { try Self.tiny(pair).validate() }
        if Self.pairs.contains(where: { $0.stage == pair.stage && $0.head == pair.head }) {
            #expect(message == nil)
        } else {
            #expect(message?.hasPrefix("head \(pair.head): does not draw from the stage \(pair.stage); take ") == true)
            #expect(message?.contains("\n") == false)
        }
    }

    @Test("training changes what is trained and nothing else, with finite losses", arguments: pairs)
    func trains(_ pair: Pair) throws {
        try TestDevice.with(.cpu16) { device in
            let configuration = try Self.tiny(pair)
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let trainer = try Trainer(configuration, state: state, data: TinyRun.data())
            let start = try state.tensors(of: "parameters")
            for _ in 0..<configuration.run.steps { try trainer.advance() }
            let metrics = try trainer.metrics()
            #expect(metrics.allSatisfy { $0.1.isFinite } && metrics.first?.0 == "loss")
            #expect(try trainer.countedSteps() == configuration.run.steps)
            let end = try state.tensors(of: "parameters")
            for declaration in state.model.declarations {
                let isSame = start[declaration.name] == end[declaration.name]
                if declaration.training == .never { #expect(isSame, "\(declaration.name)") }
            }
            // A bias of keys, for one, has no gradient, and without weight decay it stays.
            let trained = state.model.trained(isSecondPhase: false)
            let moved = trained.filter { start[$0.name] != end[$0.name] }
            #expect(moved.count * 10 > trained.count * 9, "\(trained.filter { start[$0.name] == end[$0.name] }.map(\.name)) stayed")
        }
    }

    @Test("an image is the same whatever else is drawn with it, and differs from the others", arguments: pairs, [Float(1), 2])
    func draws(_ pair: Pair, cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let configuration = try Self.tiny(pair)
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            // What starts at zero may hide the noise of a head until it is trained.
            let weights = state.model.layout.storage("ema")
            var random = TestRandom(3)
            try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(0.1 * random.normal()) }, to: weights)
            let size = state.model.tokens * state.model.tokenWidth
            func draw(_ labels: [Int], _ perLabel: Int, limit: Int = 256) throws -> [[Float]] {
                let tokens = try Sampler(state.model, memory: state.memory, batchLimit: limit)
                    .tokens(labels: labels, perLabel: perLabel, cfg: cfg, seed: 5)
                return stride(from: 0, to: tokens.count, by: size).map { Array(tokens[$0..<($0 + size)]) }
            }
            let many = try draw([1, 7, 3], 4)
            #expect(many.count == 12 && Set(many).count == 12 && many.joined().allSatisfy(\.isFinite))
            #expect(try draw([7], 2) == Array(many[4..<6]))
            #expect(try draw([1, 7, 3], 4, limit: 2) == many)
        }
    }

    @Test("a stopped run goes on to the same bits", arguments: pairs)
    func resumes(_ pair: Pair) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let configuration = try Self.tiny(pair)
            func run(_ name: String, _ existing: TrainingRun.Existing, stopAt: Int? = nil) throws -> [[UInt8]] {
                let run = try TrainingRun(
                    configuration, data: ImageSet(TinyRun.data()), path: folder.file(name), existing: existing, device: device)
                let progress = ProgressLine(total: configuration.run.steps, output: .custom(columns: nil, { _ in }))
                _ = try run.train(progress: progress, shouldStop: { run.trainer.step == stopAt })
                let newest = run.folder.checkpoints.folder(of: try #require(try run.folder.checkpoints.latest()))
                return try ["model", "ema", "state"].map { try Files.read(Files.join(newest, $0 + ".safetensors")) }
            }
            let whole = try run("whole", .refuse)
            _ = try run("parts", .refuse, stopAt: 2)
            #expect(try run("parts", .resume) == whole)
        }
    }
}
