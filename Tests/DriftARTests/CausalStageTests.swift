import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR

/// Settings of the causal stage, and norms of its tokens. Its network is compared in the golden cases.
@Suite struct CausalStageTests {
    private static func tiny(_ head: String = "energy") throws -> Configuration {
        try TinyRun.pixels.configuration.merging(
            json: Data(#"{"stage": {"kind": "causal"}, "head": {"kind": "\#(head)"}}"#.utf8), from: "x")
    }

    @Test func settingsOutOfRangeAreNamed() throws {
        func message(_ head: String = "energy", _ change: (inout CausalStageSettings) -> Void) throws -> String? {
            var configuration = try Self.tiny(head)
            var causal = try #require(configuration.stage.causal)
            change(&causal)
            configuration.stage = StageSettings(causal)
            return errorText { try configuration.validate() }
        }
        #expect(try message { $0.parallel = 16 } == nil)
        let wrong: [(String, (inout CausalStageSettings) -> Void)] = [
            ("stage.depth 0", { $0.depth = 0 }), ("stage.keyHeads 3: take a divisor of the 2 heads", { $0.keyHeads = 3 }),
            ("stage.classTokens 0", { $0.classTokens = 0 }), ("stage.rotaryBase 1.0", { $0.rotaryBase = 1 }),
            ("temperature -1.0", { $0.temperature = -1 }), ("parallel 17: an image of 16 tokens", { $0.parallel = 17 }),
            ("parallel 0", { $0.parallel = 0 }), ("stage.draftDepth -1", { $0.draftDepth = -1 }),
            ("stage.alignmentWeight -1.0", { $0.alignmentWeight = -1 }), ("stage.guessWeight nan", { $0.guessWeight = .nan }),
            ("tolerance nan", { $0.tolerance = .nan }), ("tolerance -1.0", { $0.tolerance = -1 }),
        ]
        for (line, change) in wrong {
            let text = try message("energy", change)
            #expect(text?.hasPrefix(line) == true && text?.contains("\n") == false, "\(line): \(text ?? "accepted")")
        }
        for head in ["flow", "diffusion"] {
            #expect(try message(head) { $0.parallel = 2 }?.contains("the head \(head) draws a token in many steps") == true)
        }
        for (head, draft) in [("drift", 0), ("energy", 1), ("energy", 0)] {
            var many = try Self.tiny(head)
            (many.network.embed, many.network.heads) = (512, 256)
            many.stage.causal?.draftDepth = draft
            #expect((errorText { try many.validate() }?.contains("128 heads at most") == true) == (head == "drift" || draft == 1))
        }
        var odd = try Self.tiny()
        odd.network.heads = 16
        #expect(errorText { try odd.validate() }?.contains("an even number of columns a head") == true)
    }

    @Test("tokens are normed as the setting says, in training and in drawing", arguments: TokenNorm.allCases)
    func norms(_ norm: TokenNorm) throws {
        try TestDevice.with(.cpu16) { device in
            var configuration = try Self.tiny()
            configuration.network.dropout = 0
            configuration.stage.causal?.tokenNorm = norm
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            let trainer = try Trainer(configuration, state: state, data: TinyRun.data())
            for _ in 0..<3 { try trainer.advance() }
            #expect(try trainer.metrics().allSatisfy { $0.1.isFinite })
            // An untrained head draws zeros.
            let (width, weights) = (state.model.tokenWidth, state.model.layout.storage("ema"))
            var random = TestRandom(3)
            try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(0.2 * random.normal()) }, to: weights)
            let drawn = try Sampler(state.model, memory: state.memory).tokens(labels: [3], perLabel: 2, seed: 1)
            for start in stride(from: 0, to: drawn.count, by: width) {
                let token = drawn[start..<(start + width)].map(Double.init)
                let (mean, square) = (token.reduce(0, +) / Double(width), token.reduce(0) { $0 + $1 * $1 } / Double(width))
                switch norm {
                case .none: break
                case .layer: #expect(abs(mean) < 1e-3 && abs(square - 1) < 0.05)
                case .sphere: #expect(abs(square - 1) < 1e-3)
                }
            }
        }
    }

    @Test("a draft learns beside the stage, which learns what it learns without one", arguments: ["energy", "drift"])
    func draft(_ head: String) throws {
        try TestDevice.with(.cpu16) { device in
            typealias Trained = (weights: [String: [Float]], first: [String: Double], last: [String: Double])
            func trained(draft: Int, from begun: [String: [Float]] = [:], steps: Int = 40) throws -> Trained {
                var configuration = try Self.tiny(head)
                (configuration.network.dropout, configuration.optimizer.clip) = (0, 0)
                configuration.stage.causal?.draftDepth = draft
                let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
                try state.initialize(seed: 1)
                let storage = state.model.layout.storage("parameters")
                for (name, values) in begun {
                    try state.memory.write(values, to: storage, at: #require(state.model.layout[name]).offset)
                }
                let trainer = try Trainer(configuration, state: state, data: TinyRun.data())
                func metrics() throws -> [String: Double] { try Dictionary(trainer.metrics()) { $1 } }
                guard steps > 0 else { return (try weights(state), [:], [:]) }
                try trainer.advance()
                let first = try metrics()
                for _ in 1..<steps { try trainer.advance() }
                return (try weights(state), first, try metrics())
            }
            func weights(_ state: ModelState) throws -> [String: [Float]] {
                let (layout, all) = (state.model.layout, try state.memory.read(Float.self, from: state.model.layout.storage("parameters")))
                return Dictionary(uniqueKeysWithValues: state.model.declarations.compactMap { declaration in
                    layout[declaration.name].map { (declaration.name, Array(all[$0.offset..<($0.offset + $0.count)])) }
                })
            }
            // Values are drawn in the order of the parameters: the head's are others behind a draft.
            let begun = try trained(draft: 0, steps: 0).weights
            let (alone, beside) = (try trained(draft: 0), try trained(draft: 1, from: begun))
            let differing = alone.weights.filter { beside.weights[$0.key] != $0.value }.keys.sorted()
            #expect(differing.isEmpty, "\(differing)")
            let added = beside.weights.keys.filter { alone.weights[$0] == nil }
            #expect(added.count == 17 && added.allSatisfy { $0.hasPrefix("draft.") }, "\(added.sorted())")
            #expect(alone.first["draft"] == nil && alone.first["alignment"] == nil)
            // An energy head that has learned nothing draws zeros, whatever it draws from.
            #expect(head == "drift" || beside.first["guess"] == 0)
            for name in ["draft", "alignment"] + (head == "drift" ? ["guess"] : []) {
                let (first, last) = (try #require(beside.first[name]), try #require(beside.last[name]))
                #expect(last < first, "\(name): \(first) to \(last)")
            }
        }
    }

    @Test("one kernel takes what fits it")
    func small() throws {
        func isSmall(_ change: (inout Configuration) -> Void) throws -> Bool {
            var configuration = Configuration.digitsCausal
            change(&configuration)
            try configuration.validate()
            return try #require(configuration.makeGenerator().stage as? CausalStage).small != nil
        }
        #expect(try isSmall { _ in } && isSmall { $0.network.embed = 128 })
        #expect(try !isSmall { $0.network.embed = 384 } && !isSmall { $0.network.mlpRatio = 9 })
        #expect(try !isSmall { $0.stage.causal?.headPositions = .sines })
        #expect(try !isSmall { ($0.network.embed, $0.network.heads) = (256, 2) })
    }
}
