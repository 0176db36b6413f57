import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

/// Heads that draw single tokens, without a stage: what they learn and draw from given conditions. Values of the reference are
/// compared in the golden cases.
@Suite struct TokenHeadTests {
    /// A small head for tokens of two values.
    enum Kind: String, CaseIterable, Sendable {
        case diffusion, energy, drift

        func head(width: Int = 24, depth: Int = 2) -> any TokenHead {
            let condition = TokenHeadTrial.conditionWidth
            switch self {
            case .diffusion:
                return DiffusionHead(.init(tokenWidth: 2, conditionWidth: condition, width: width, depth: depth), steps: 25, limit: 2)
            case .energy:
                return EnergyHead(.init(tokenWidth: 2, conditionWidth: condition, width: width, depth: depth), noiseWidth: 8)
            case .drift:
                return TokenDriftHead(.init(tokenWidth: 2, conditionWidth: condition, width: width, depth: depth))
            }
        }
    }

    /// Rows of two kinds: tokens around (-1, 1/2) or (1, 1/2) at random, and tokens around (0, -1).
    private static func rows(_ count: Int, step: Int) -> (z: [Float], targets: [Float]) {
        let random = Philox(seed: 9)
        var (z, targets): ([Float], [Float]) = ([], [])
        for row in 0..<count {
            let isPair = row % 2 == 0
            z += isPair ? [1, 0, 1] : [0, 1, 1]
            func normal(_ element: Int) -> Float { Float(random.normal(stream: 1, tensor: step, element: 3 * row + element)) }
            targets += isPair ? [(normal(2) < 0 ? -1 : 1) + 0.15 * normal(0), 0.5 + 0.15 * normal(1)] : [0.3 * normal(0), -1 + 0.15 * normal(1)]
        }
        return (z, targets)
    }

    private static func moments(_ values: [Float]) -> (mean: Float, deviation: Float) {
        let mean = values.reduce(0, +) / Float(values.count)
        return (mean, (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(values.count)).squareRoot())
    }

    @Test("every parameter has a finite gradient, and the loss a value", arguments: Kind.allCases, TestDevice.teams.prefix(1))
    func gradients(_ kind: Kind, _ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let trial = try TokenHeadTrial(kind.head(), rows: 6, tokenWidth: 2, device: device)
            try trial.shake()
            let (z, targets) = Self.rows(6, step: 0)
            #expect(try trial.train(z, targets, step: 0, learningRate: 0).isFinite)
            for (name, values) in try trial.gradients() {
                #expect(values.allSatisfy(\.isFinite) && values.contains { $0 != 0 }, "\(name)")
            }
        }
    }

    /// The law of a token is that of its own condition: two modes where there are two, no mean of both.
    @Test("a head learns the law of each condition", arguments: Kind.allCases)
    func learns(_ kind: Kind) throws {
        try TestDevice.with(.cpu16) { device in
            let trial = try TokenHeadTrial(kind.head(width: 64), rows: 128, tokenWidth: 2, device: device)
            let steps = 1500
            for step in 0..<steps {
                let (z, targets) = Self.rows(128, step: step)
                let rate = 2e-3 * min(1, 2 * Float(steps - step) / Float(steps))
                try trial.train(z, targets, step: step, learningRate: rate)
            }
            let drawn = try trial.draw(Self.rows(2000, step: 0).z)
            func column(_ first: Int, _ axis: Int) -> [Float] { stride(from: 2 * first + axis, to: drawn.count, by: 4).map { drawn[$0] } }
            let (pairX, pairY) = (Self.moments(column(0, 0)), Self.moments(column(0, 1)))
            let (oneX, oneY) = (Self.moments(column(1, 0)), Self.moments(column(1, 1)))
            let near = Self.moments(column(0, 0).map { abs($0) })
            let told = "\(kind): pair \(pairX) \(pairY), |x| \(near), one \(oneX) \(oneY)"
            #expect(abs(pairX.mean) < 0.15 && abs(pairX.deviation - 1) < 0.15 && abs(pairY.mean - 0.5) < 0.1, "\(told)")
            #expect(abs(near.mean - 1) < 0.15 && near.deviation < 0.35, "\(told)")
            #expect(abs(oneX.mean) < 0.1 && abs(oneX.deviation - 0.3) < 0.1 && abs(oneY.mean + 1) < 0.1 && oneY.deviation < 0.3, "\(told)")
        }
    }

    @Test("guidance of strength 1 draws what no guidance draws, and a token is the same whatever else is drawn", arguments: Kind.allCases)
    func guidance(_ kind: Kind) throws {
        try TestDevice.with(.cpu16) { device in
            let trial = try TokenHeadTrial(kind.head(), rows: 6, tokenWidth: 2, device: device)
            try trial.shake()
            let z = Self.rows(6, step: 0).z
            let plain = try trial.draw(z)
            #expect(plain.allSatisfy(\.isFinite) && Set(plain).count == plain.count)
            let other = [Float](repeating: 0.2, count: z.count)
            let same = try trial.draw(z, from: other, cfg: 1)
            let largest = plain.reduce(0) { max($0, abs($1)) }
            #expect(zip(plain, same).allSatisfy { abs($0 - $1) < 1e-4 * largest })
            #expect(try trial.draw(z, from: z, cfg: 3).elementsEqual(plain) { abs($0 - $1) < 1e-4 * largest })
            #expect(try !trial.draw(z, from: other, cfg: 3).elementsEqual(plain) { abs($0 - $1) < 1e-2 * largest })
            #expect(try trial.draw(Array(z.prefix(3))) == Array(plain.prefix(2)))
            #expect(try trial.draw(z, clock: 1) != plain)
            // All that is random in the drift head is its start.
            #expect(try (trial.draw(z, temperature: 0.5) == plain) == (kind == .drift))
        }
    }

    @Test("what a head lacks is said in one line")
    func lacks() throws {
        let graph = Graph()
        let clock = try graph.input("clock", [4], .uint32)
        let real = try graph.input("real", [1, 6, 2])
        let step = try TokenHeadTrial.inputs(graph, real: real, clock: clock)
        func text(_ kind: Kind, _ condition: Condition) throws -> String? {
            let head = kind.head()
            let layout = try ParameterLayout(head.declarations.map { ($0.name, $0.shape) })
            return errorText { _ = try head.loss(condition, step, ParameterScope(graph, layout)) }
        }
        let z = try graph.input("z", [2, 3, TokenHeadTrial.conditionWidth])
        #expect(try text(.drift, Condition(z: z))?.hasPrefix("head drift: the stage gives no entropy") == true)
        for kind in Kind.allCases {
            #expect(try text(kind, Condition())?.contains("gives no z") == true)
            let short = Condition(z: z, targets: try graph.input("short", [2, 2, 2]))
            #expect(try text(kind, short)?.contains("as many of 2 values") == true)
            let drawing = DrawingInputs(condition: Condition(z: z), noise: real)
            let layout = try ParameterLayout(kind.head().declarations.map { ($0.name, $0.shape) })
            let message = errorText { _ = try kind.head().draw(drawing, ParameterScope(graph, layout)) }
            #expect(message?.hasPrefix("head \(kind.rawValue): draws single tokens") == true && message?.contains("\n") == false)
        }
        // Real tokens are the targets where a stage names no others.
        #expect(try text(.energy, Condition(z: z)) == nil)
    }

    @Test("settings out of range are named")
    func settings() throws {
        func refused<Settings: HeadKind>(_ settings: Settings, _ changes: [(String, (inout Settings) -> Void)]) throws {
            try settings.validate(Configuration())
            for (name, change) in changes {
                var wrong = settings
                change(&wrong)
                let message = errorText { try wrong.validate(Configuration()) }
                #expect(message?.contains(name) == true && message?.contains("\n") == false, "\(Settings.kind) \(name)")
            }
        }
        try refused(
            DiffusionHeadSettings(),
            [
                ("decoder-depth", { $0.depth = 0 }), ("head width", { $0.width = 0 }), ("head noises", { $0.noises = 0 }),
                ("head steps", { $0.steps = 1 }), ("head steps", { $0.steps = 1001 }),
                ("head limit", { $0.limit = -1 }), ("head limit", { $0.limit = .infinity }),
            ])
        try refused(
            EnergyHeadSettings(),
            [
                ("decoder-depth", { $0.depth = 257 }), ("head width", { $0.width = -1 }), ("head noises", { $0.noises = 257 }),
                ("repulsion", { $0.repulsion = 1.1 }), ("repulsion", { $0.repulsion = .nan }),
            ])
        try refused(
            TokenDriftHeadSettings(),
            [
                ("head width", { $0.width = 20000 }), ("head noises", { $0.noises = 1 }), ("head radii", { $0.radii = [] }),
                ("head radii", { $0.radii = [0] }), ("last-layer-deviation", { $0.lastLayerDeviation = -1 }),
                ("sigma-max", { $0.sigmaMax = -1 }), ("sigma-tau", { $0.sigmaTau = 0 }),
            ])
    }

    /// A flag is of the setting of the run, not of the head's of the same name.
    @Test func commonSettingsComeFirst() {
        var configuration = Configuration()
        configuration.head = HeadSettings(DiffusionHeadSettings())
        #expect(configuration.path(of: "steps") == "run.steps" && configuration.path(of: "width") == "data.width")
        #expect(configuration.path(of: "noises") == "head.noises")
    }

    /// More rows than there are times share what is made of a time; so do their gradients.
    @Test("times embedded once are those of each row, with their gradients", arguments: TestDevice.teams)
    func timesEmbeddedOnce(_ shape: TeamShape) throws {
        let rows = DiffusionSchedule.trainingSteps + 37
        let head = DiffusionHead(.init(tokenWidth: 2, conditionWidth: 3, width: 12, depth: 1))
        let layout = try ParameterLayout(head.declarations.map { ($0.name, $0.shape) })
        let embedding = head.declarations.map(\.name).filter { $0.contains("time_embed") }
        let results = try TestDevice.with(shape) { device in
            try [true, false].map { isOnce in
                let memory = DeviceMemory(device)
                let graph = Graph()
                let scope = ParameterScope(graph, layout)
                let (times, seed) = (try graph.input("times", [rows]), try graph.input("seed", [rows, 12]))
                let net = scope.scope("diffloss.net")
                let y = try isOnce ? head.embedTrainingTimes(times, net) : TimedTokenMLP.embed(times: times, net)
                let gradients = try graph.gradients(
                    of: [(y, seed)], withRespectTo: embedding.map { try scope.parameter($0) }).compactMap { $0 }
                ([y] + gradients).forEach(graph.output)
                let executor = try memory.executor(graph)
                try memory.write((0..<layout.storage("parameters").count).map { 0.1 * cos(Float($0)) }, to: layout.storage("parameters"))
                try executor.write((0..<rows).map { Float($0 * 7 % 1000) }, to: times)
                try executor.write((0..<seed.count).map { sin(Float($0) * 0.7) }, to: seed)
                try executor.run()
                return try ([y] + gradients).map { try executor.read($0) as [Float] }
            }
        }
        #expect(results[0].count == 1 + embedding.count && embedding.count == 4)
        for (once, each) in zip(results[0], results[1]) {
            let size = each.reduce(0) { max($0, abs($1)) }
            #expect(size > 0 && zip(once, each).allSatisfy { abs($0 - $1) < 1e-4 * size })
        }
    }

    @Test("nothing of the diffusion decays, and the names are the reference's")
    func declarations() throws {
        let diffusion = Kind.diffusion.head(depth: 1).declarations
        #expect(diffusion.allSatisfy { !$0.mayDecay && $0.name.hasPrefix("diffloss.net.") })
        #expect(Kind.energy.head().declarations.allSatisfy { $0.mayDecay && $0.name.hasPrefix("scoreloss.net.") })
        #expect(
            diffusion.map { String($0.name.dropFirst("diffloss.net.".count)) }.filter { $0.hasSuffix("weight") } == [
                "time_embed.mlp.0.weight", "time_embed.mlp.2.weight", "cond_embed.weight", "input_proj.weight", "res_blocks.0.in_ln.weight",
                "res_blocks.0.mlp.0.weight", "res_blocks.0.mlp.2.weight", "res_blocks.0.adaLN_modulation.1.weight",
                "final_layer.linear.weight", "final_layer.adaLN_modulation.1.weight",
            ])
    }
}
