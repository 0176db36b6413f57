import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

/// Causal decoding: several tokens a pass give what one gives, and numbers of a seed what they give when they are given. What is drawn
/// is compared in the golden cases.
@Suite struct CausalDecodingTests {
    private static let labels = [1, 7, 3]
    private static let images = 2..<4
    private static let tokens = 16

    /// A tiny model of random weights.
    private struct Model {
        let state: ModelState
        let stage: CausalStage
        let head: any TokenHead

        init(
            _ head: String, _ device: Device, deviation: Double = 0.2, _ change: (inout Configuration) -> Void = { _ in }
        ) throws {
            var tiny = TinyRun.pixels.configuration
            tiny.network.dropout = 0
            tiny = try tiny.merging(json: Data(#"{"stage": {"kind": "causal"}, "head": {"kind": "\#(head)"}}"#.utf8), from: "x")
            tiny.stage.causal?.keyHeads = 1
            tiny.head.flow?.steps = 3
            change(&tiny)
            state = ModelState(try tiny.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            stage = try #require(state.model.stage as? CausalStage)
            self.head = try #require(state.model.head.ofTokens)
            let weights = state.model.layout.storage("ema")
            var random = TestRandom(3)
            try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(deviation * random.normal()) }, to: weights)
        }

        func loop(parallel: Int = 1, tolerance: Float = 0, _ change: (inout CausalStage.Drawing) -> Void = { _ in }) -> CausalDecoding {
            var drawing = stage.drawing
            (drawing.parallel, drawing.tolerance) = (parallel, tolerance)
            change(&drawing)
            return CausalDecoding(CausalStage(stage.shape, norm: stage.norm, drawing), head, state.sampling)
        }
    }

    /// A model whose draft proposes with chance: with random weights no guess is right.
    @Test(
        "tokens that a draft proposes are checked: where guesses must be exact, the bits are those of one token after the other",
        arguments: [(Form.small, "energy"), (.small, "drift"), (.large, "drift")], [Float(1), 2])
    func drafted(_ model: (form: Form, head: String), cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let form = model.form
            let model = try Model(model.head, device) {
                form.change(&$0)
                $0.stage.causal?.draftDepth = 2
            }
            func draw(
                _ parallel: Int, _ tolerance: Float = 0, _ guess: CausalStageSettings.Guess = .draft
            ) throws -> ([UInt32], DecodingFigures) {
                let loop = model.loop(parallel: parallel, tolerance: tolerance) { $0.guess = guess }
                let drawn = try loop.draw(Self.labels, images: Self.images, cfg: cfg, seed: 5)
                return (drawn.map(\.bitPattern), try #require(loop.decoding))
            }
            let (bits, _) = try draw(1)
            for parallel in [2, 4] {
                let (others, figures) = try draw(parallel)
                #expect(others == bits, "\(parallel) a pass")
                #expect(figures.tokens == 6 * Self.tokens && figures.checkedByEntropy.reduce(0, +) > 0 && figures.correlation != nil)
                let checked = figures.checked
                #expect(checked.count == Self.tokens - 1 && checked[0] == 0 && checked.reduce(0, +) > 6 * 7, "\(checked)")
            }
            // Guesses of both kinds are taken unseen where they may be anything; they are others.
            let (proposed, figures) = try draw(4, .greatestFiniteMagnitude)
            let (repeated, others) = try draw(4, .greatestFiniteMagnitude, .last)
            #expect(figures.accepted == [6, 0, 6, 18] && others.accepted == figures.accepted && proposed != repeated && proposed != bits)
            #expect(figures.acceptance == 1 && others.checkedByEntropy.isEmpty && others.correlation == nil)
        }
    }

    @Test(
        "what the draft proposes is what it says of a whole sequence, and the head draws from it",
        arguments: TestDevice.teams.flatMap { shape in
            let cases: [(Form, Float)] = shape == .gpu ? [(.small, 2), (.large, 1)] : [(.small, 1), (.small, 2), (.blocks, 1), (.large, 2)]
            return cases.map { ($0.0, $0.1, shape) }
        })
    func proposals(_ form: Form, _ cfg: Float, _ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let model = try Model("drift", device) {
                form.change(&$0)
                $0.stage.causal?.draftDepth = 2
            }
            let head = try #require(model.head as? TokenDriftHead)
            let draft = try #require(model.stage.shape.draft)
            #expect((draft.small == nil) == (form == .large))
            let (images, width, tokens) = (3, model.stage.shape.tokenWidth, Self.tokens)
            let conditions = cfg == 1 ? images : 2 * images
            var random = TestRandom(5)
            let noise = (0..<(images * tokens * width)).map { _ in Float(random.normal()) }
            // Two a pass, so each token is proposed once from what is final, and one of the two is drawn again from the stage.
            let loop = model.loop(parallel: 2, tolerance: 0)
            let drawn = try loop.draw(Self.labels, images: 0..<1, cfg: cfg, seed: 1, given: .init(start: noise, steps: []))
            func kept(_ storage: Storage) throws -> [Float] {
                try model.state.memory.read(Float.self, from: storage, count: images * tokens)
            }
            let distances = try kept(CausalGraphs.Place.distance(images * tokens))
            let entropies = try kept(CausalGraphs.Place.draftEntropy(images * tokens))
            let graph = Graph()
            let scope = model.state.sampling.weights.scope(graph)
            let classes = try graph.input("classes", [conditions], .int32)
            let all = try graph.input("tokens", [conditions, tokens, width])
            let start = try graph.input("start", [conditions, tokens, width])
            let (z, _) = try model.stage.forward(front: model.stage.front(classes, scope), tokens: all, scope)
            let added = try model.stage.shape.headPositions == .learned ? model.stage.places(scope) : nil
            let proposed = try draft(z: z, tokens: all, added: added, scope)
            let rows = conditions * (tokens - 1)
            let guesses = try head.generate(
                z: graph.reshape(proposed.z, [rows, proposed.z.type.columns]), entropy: graph.reshape(proposed.entropy, [rows]),
                noise: graph.reshape(graph.slice(start, axis: 1, 1..<tokens), [rows, width]), scope)
            graph.output(guesses)
            graph.output(proposed.entropy)
            let executor = try model.state.memory.executor(graph)
            let without = [Int32](repeating: Int32(model.stage.shape.classes), count: conditions - images)
            try executor.write(Self.labels.map(Int32.init) + without, to: classes)
            try executor.write(cfg == 1 ? drawn : drawn + drawn, to: all)
            try executor.write(cfg == 1 ? noise : noise + noise, to: start)
            try executor.run()
            let (wanted, own) = (try executor.read(guesses), try executor.read(proposed.entropy))
            let strengths = model.stage.drawing.strengths(cfg, tokens: tokens)
            for (b, t) in (0..<images).flatMap({ b in (1..<(tokens - 1)).map { (b, $0) } }) {
                let square = (0..<width).reduce(0.0) { sum, i in
                    func guess(_ b: Int) -> Float { wanted[(b * (tokens - 1) + t - 1) * width + i] }
                    let other = cfg == 1 ? guess(b) : guess(b + images)
                    let guided = other + strengths[t] * (guess(b) - other)
                    let difference = Double(drawn[(b * tokens + t) * width + i] - guided)
                    return sum + difference * difference
                }
                let distance = (square / Double(width)).squareRoot()
                #expect(abs(Double(distances[b * tokens + t]) - distance) < 1e-3 * max(1, distance), "token \(t) of \(b)")
                #expect(abs(entropies[b * tokens + t] - own[b * (tokens - 1) + t - 1]) < 1e-4, "entropy \(t) of \(b)")
            }
        }
    }

    /// A network that one kernel takes through all blocks; one that has other positions, whose draft it takes; one that is too large.
    enum Form: String, Sendable {
        case small, blocks, large

        func change(_ configuration: inout Configuration) {
            if self == .blocks { configuration.stage.causal?.headPositions = .sines }
            if self == .large { configuration.network.mlpRatio = 33 }
        }
    }

    @Test(
        "tokens drawn one by one are those that a pass over all of them draws, whose entropy is that of the cached rows",
        arguments: [Form.small, .blocks], TestDevice.teams)
    func oneByOne(_ form: Form, _ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let model = try Model("drift", device, form.change)
            let head = try #require(model.head as? TokenDriftHead)
            let (images, width) = (3, model.stage.shape.tokenWidth)
            var random = TestRandom(5)
            let noise = (0..<(images * Self.tokens * width)).map { _ in Float(random.normal()) }
            let drawn = try model.loop(parallel: 3).draw(
                Self.labels, images: 0..<1, cfg: 1, seed: 1, given: .init(start: noise, steps: []))
            let graph = Graph()
            let scope = model.state.sampling.weights.scope(graph)
            let classes = try graph.input("classes", [images], .int32)
            let (tokens, start) = (try graph.input("tokens", [images, Self.tokens, width]), try graph.input("start", [images * Self.tokens, width]))
            let (z, entropy) = try model.stage.forward(front: model.stage.front(classes, scope), tokens: tokens, scope, withEntropy: true)
            let found = try #require(entropy)
            let again = try head.generate(
                z: graph.reshape(z, [images * Self.tokens, z.type.columns]), entropy: graph.reshape(found, [images * Self.tokens]),
                noise: start, scope)
            graph.output(again)
            graph.output(found)
            let executor = try model.state.memory.executor(graph)
            try executor.write(Self.labels.map(Int32.init), to: classes)
            try executor.write(drawn, to: tokens)
            try executor.write(noise, to: start)
            try executor.run()
            let (wanted, entropies) = (try executor.read(again), try executor.read(found))
            #expect(Set(entropies).count > images * (Self.tokens - 3) && entropies[0] == 1 && entropies[1] == 1)
            let (largest, error) = (wanted.map(abs).max() ?? 0, zip(wanted, drawn).map { abs($0 - $1) }.max() ?? 0)
            #expect(largest > 0.01 && error <= 1e-4 * largest, "\(error) of \(largest)")
        }
    }

    @Test(
        "several tokens a pass draw the bits of one after the other where guesses must be exact",
        arguments: [(Form.small, "energy"), (.blocks, "energy"), (.small, "drift")], [Float(1), 2])
    func exact(_ model: (form: Form, head: String), cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let form = model.form
            let model = try Model(model.head, device, form.change)
            #expect((model.stage.small == nil) == (form != .small))
            func draw(_ parallel: Int) throws -> (bits: [UInt32], figures: DecodingFigures) {
                let loop = model.loop(parallel: parallel)
                let drawn = try loop.draw(Self.labels, images: Self.images, cfg: cfg, seed: 5)
                return (drawn.map(\.bitPattern), try #require(loop.decoding))
            }
            let (bits, figures) = try draw(1)
            #expect(Set(bits).count > bits.count / 2 && figures.accepted == [6 * Self.tokens])
            for parallel in [2, 5, Self.tokens] {
                let (others, figures) = try draw(parallel)
                #expect(others == bits, "\(parallel) a pass")
                #expect(figures.tokens == 6 * Self.tokens && figures.passes > 5 * Self.tokens, "\(figures.accepted)")
            }
        }
    }

    @Test("guesses that may be anything take the fewest passes, and the images drawn differ", arguments: [Form.small, .blocks])
    func tolerant(_ form: Form) throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model("energy", device, form.change)
            let plain = try model.loop().draw(Self.labels, images: Self.images, cfg: 1, seed: 5)
            let loop = model.loop(parallel: 4, tolerance: .greatestFiniteMagnitude)
            let drawn = try loop.draw(Self.labels, images: Self.images, cfg: 1, seed: 5)
            // The first token alone, then 4, 4, 4 and 3.
            #expect(loop.decoding?.accepted == [6, 0, 6, 18] && drawn != plain)
            #expect(abs((loop.decoding?.tokensPerPass ?? 0) - 16.0 / 5) < 1e-12)
            // What is known when a token is drawn was drawn by the same pass or an earlier one: the first four guess from zeros.
            let width = model.stage.shape.tokenWidth
            #expect(drawn.prefix(2 * width) == plain.prefix(2 * width))
            loop.reset()
            #expect(loop.decoding?.passes == 0)
        }
    }

    @Test("an image is the same whatever else is drawn with it", arguments: [Form.small, .blocks], [Float(1), 2])
    func alone(_ form: Form, cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model("energy", device, form.change)
            let size = Self.tokens * model.stage.shape.tokenWidth
            func draw(_ labels: [Int], _ images: Range<Int>) throws -> [[Float]] {
                let drawn = try model.loop(parallel: 3, tolerance: 0.3).draw(labels, images: images, cfg: cfg, seed: 5)
                return stride(from: 0, to: drawn.count, by: size).map { Array(drawn[$0..<($0 + size)]) }
            }
            let many = try draw(Self.labels, 0..<4)
            #expect(many.count == 12 && Set(many).count == 12)
            #expect(try draw([7], 2..<3) == [many[6]])
        }
    }

    @Test(
        "a seed draws what its numbers draw when they are given, step by step", arguments: ["flow", "flow ode", "diffusion", "energy", "drift"],
        TestDevice.teams)
    func numbersOfASeed(_ words: String, _ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let head = words.hasPrefix("flow") ? "flow" : words
            // Variances of a diffusion are powers of what its network says.
            let model = try Model(head, device, deviation: head == "diffusion" ? 0.05 : 0.2) {
                $0.head.diffusion?.steps = 3
                if words == "flow ode" { $0.head.flow?.sampler = .ode }
            }
            let (random, seed, width): (Philox, UInt64, Int) = (Philox(seed: 9), 9, model.stage.shape.tokenWidth)
            func each(_ size: Int, _ stream: UInt32, _ value: (SIMD4<UInt32>) -> Double) -> [Float] {
                Self.labels.flatMap { label in
                    Self.images.flatMap { image in
                        (0..<size).map { Float(value(random.words(UInt32($0), UInt32(image), UInt32(label), stream))) }
                    }
                }
            }
            let start = each(Self.tokens * model.head.start.width, 0x2016_0000) {
                model.head.start.law == .normal ? BoxMuller.normal($0[0], $0[1]) : Double($0[0] >> 8) / 0x1p24 - 0.5
            }
            let steps = model.head.drawsInSteps
                ? (0..<model.head.steps).flatMap { each(Self.tokens * width, 0x2017_0000 + UInt32($0)) { BoxMuller.normal($0[0], $0[1]) } } : []
            for cfg: Float in [1, 2] {
                let drawn = try model.loop().draw(Self.labels, images: Self.images, cfg: cfg, seed: seed)
                let want = try model.loop().draw(
                    Self.labels, images: Self.images, cfg: cfg, seed: seed, given: .init(start: start, steps: steps))
                #expect(drawn.allSatisfy(\.isFinite) && drawn.count == want.count)
                // A network of random weights feeds rounding back and makes it larger, token by token: the first ones tell.
                let size = Self.tokens * width
                let first = stride(from: 0, to: drawn.count, by: size).flatMap { $0..<($0 + 2 * width) }
                let largest = first.map { abs(want[$0]) }.max() ?? 0
                let error = first.map { abs(drawn[$0] - want[$0]) }.max() ?? 0
                #expect(largest > 0.01 && error <= 5e-4 * largest, "cfg \(cfg): \(error) of \(largest)")
            }
        }
    }

    @Test("guidance goes over the tokens as it is told to")
    func guidance() throws {
        var drawing = CausalStage.Drawing()
        func strengths(_ guidance: RoundSettings.Guidance) -> [Float] {
            drawing.guidance = guidance
            return drawing.strengths(3, tokens: 4)
        }
        #expect(strengths(.constant) == [3, 3, 3, 3])
        #expect(strengths(.linear) == [1, 1.5, 2, 2.5])
        #expect(strengths(.falling) == [3, 2.5, 2, 1.5])
        #expect(RoundSettings(rounds: 4, guidance: .falling).strengths(3, tokens: 4) == [3, 2.5, 2, 1.5])
        try TestDevice.with(.cpu16) { device in
            let model = try Model("energy", device)
            let drawn = try RoundSettings.Guidance.allCases.map { guidance in
                try model.loop(parallel: 2) { $0.guidance = guidance }.draw([1], images: 0..<1, cfg: 2, seed: 1)
            }
            #expect(Set(drawn).count == 3)
        }
    }
}
