import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR

/// Which tokens the rounds draw. What they draw there is compared in the golden cases, and for every head in `GeneratorTests`.
@Suite struct MaskedRoundsTests {
    private static let tokens = 16
    private static let labels = [1, 7, 3]
    private static let images = 2..<4
    /// b.
    private static let count = 6

    /// A model whose entropies differ from position to position.
    private struct Model {
        let state: ModelState
        let stage: MARStage

        init(_ head: String, _ device: Device) throws {
            var tiny = TinyRun.pixels.configuration
            tiny.network.dropout = 0
            tiny = try tiny.merging(json: Data(#"{"stage": {"kind": "mar"}, "head": {"kind": "\#(head)"}}"#.utf8), from: "x")
            tiny.head.diffusion?.steps = 3
            // Else an untrained head draws tokens whose values all stand at the limit, the same from any noise.
            tiny.head.diffusion?.limit = 0
            state = ModelState(try tiny.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            stage = try #require(state.model.stage as? MARStage)
            let weights = state.model.layout.storage("ema")
            var random = TestRandom(3)
            try state.memory.write(state.memory.read(Float.self, from: weights).map { $0 + Float(0.2 * random.normal()) }, to: weights)
        }

        func loop(_ order: RoundSettings.Order, rounds: Int) throws -> MaskedRounds {
            MaskedRounds(
                stage, try #require(state.model.head.ofTokens), RoundSettings(rounds: rounds, order: order), state.sampling)
        }

        /// The orders [halves b, R] as the last drawing left them.
        func orders(halves: Int = 1) throws -> [[Int32]] {
            let count = halves * MaskedRoundsTests.count * MaskedRoundsTests.tokens
            return try state.memory.read(Int32.self, from: RoundGraphs.Place.order(count))
                .chunks(MaskedRoundsTests.tokens)
        }

        /// The entropies [b, R] of all positions of images of which those at `range` of the orders are known.
        func entropies(_ drawn: [Float], _ orders: [[Int32]], known range: Range<Int>) throws -> [[Float]] {
            let graph = Graph()
            let scope = state.sampling.weights.scope(graph)
            let (count, tokens) = (MaskedRoundsTests.count, MaskedRoundsTests.tokens)
            let labels = try graph.input("test_labels", [count], .int32)
            let keeps = try graph.fill([count], with: 1)
            let order = try graph.input("test_order", [count, tokens], .int32)
            let values = try graph.input("test_tokens", [count * tokens, stage.shape.tokenWidth])
            let known = MARStage.Known(tokens: values, order: order, range: range)
            let decoded = try stage.decode(
                stage.encode(stage.embed(labels, keeps: keeps, scope), known, scope), known, scope, withEntropy: true)
            let entropy = try #require(decoded.entropy)
            graph.output(entropy)
            let executor = try state.memory.executor(graph)
            try executor.write(MaskedRoundsTests.labels.flatMap { [Int32($0), Int32($0)] }, to: labels)
            try executor.write(orders.flatMap(\.self), to: order)
            try executor.write(drawn, to: values)
            try executor.run()
            return try executor.read(entropy).chunks(tokens)
        }
    }

    @Test("every round draws the hidden tokens of least entropy", arguments: ["energy", "drift", "diffusion"])
    func leastEntropyFirst(_ head: String) throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model(head, device)
            let (rounds, width) = (4, model.stage.shape.tokenWidth)
            let settings = RoundSettings(rounds: rounds, order: .entropy)
            let loop = try model.loop(.entropy, rounds: rounds)
            var drawn = [Float](repeating: 0, count: Self.count * Self.tokens * width)
            var orders = Self.labels.flatMap { label in
                Self.images.map { MaskedRounds.order(label, image: $0, tokens: Self.tokens, seed: 5) }
            }
            let random = orders
            var widest: Float = 0
            for (number, round) in settings.plan(tokens: Self.tokens).enumerated() {
                let entropies = try model.entropies(drawn, orders, known: round.known)
                let next = try loop.draw(Self.labels, images: Self.images, cfg: 1, seed: 5, rounds: number + 1)
                let sorted = try model.orders()
                let hidden = round.drawn.upperBound
                for image in 0..<Self.count {
                    let (before, after) = (orders[image], sorted[image])
                    #expect(Set(before.prefix(hidden)) == Set(after.prefix(hidden)) && before.dropFirst(hidden) == after.dropFirst(hidden))
                    let along = after.prefix(hidden).map { entropies[image][Int($0)] }
                    if round.leaves {
                        #expect(zip(along, along.dropFirst()).allSatisfy { $0 >= $1 }, "round \(number): \(along)")
                    } else {
                        #expect(before == after)
                    }
                    widest = max(widest, (along.max() ?? 0) - (along.min() ?? 0))
                    // What the round drew, and nothing else, has changed.
                    let chosen = Set(after[round.drawn])
                    for position in 0..<Self.tokens {
                        let place = (image * Self.tokens + position) * width
                        let isSame = next[place..<(place + width)] == drawn[place..<(place + width)]
                        #expect(isSame != chosen.contains(Int32(position)), "round \(number), position \(position)")
                    }
                }
                (drawn, orders) = (next, sorted)
            }
            #expect(widest > 1e-3 && orders != random, "\(widest)")
        }
    }

    @Test("a single round draws the same bits in either order, several do not; random leaves the orders alone")
    func rounds() throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model("energy", device)
            func draw(_ order: RoundSettings.Order, _ rounds: Int, cfg: Float = 1) throws -> [UInt32] {
                try model.loop(order, rounds: rounds).draw(Self.labels, images: Self.images, cfg: cfg, seed: 5).map(\.bitPattern)
            }
            #expect(try draw(.random, 1) == draw(.entropy, 1))
            let random = try draw(.random, 4)
            #expect(
                try model.orders()
                    == Self.labels.flatMap { label in Self.images.map { MaskedRounds.order(label, image: $0, tokens: Self.tokens, seed: 5) } })
            let ordered = try draw(.entropy, 4)
            #expect(try ordered != random && draw(.entropy, 4) == ordered && draw(.random, 4) == random)
            // With guidance both halves of a batch draw the same positions: those of the half with labels.
            let guided = try draw(.entropy, 4, cfg: 2)
            let orders = try model.orders(halves: 2)
            #expect(orders.prefix(Self.count) == orders.suffix(Self.count) && guided != ordered)
            #expect(orders.allSatisfy { $0.sorted() == (0..<Int32(Self.tokens)).map(\.self) })
        }
    }

    @Test("a probe sees what the loop draws, and of real images what a round makes of their known tokens", arguments: ["drift", "diffusion"])
    func probe(_ head: String) throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model(head, device)
            let loop = try model.loop(.entropy, rounds: 4)
            let whole = try loop.draw(Self.labels, images: Self.images, cfg: 1, seed: 5)
            let probe = MaskedProbe(loop)
            let looks = try probe.rounds(Self.labels, images: Self.images, seed: 5)
            #expect(looks.map(\.round) == RoundSettings(rounds: 4).plan(tokens: Self.tokens) && looks.last?.after == whole)
            for look in looks {
                let orders = look.orders.chunks(Self.tokens)
                #expect(try model.entropies(look.before, orders, known: look.round.known) == look.entropy.chunks(Self.tokens))
            }
            #expect(zip(looks, looks.dropFirst()).allSatisfy { $0.after == $1.before })
            // The images drawn above stand for real ones.
            let (hidden, width) = (6, model.stage.shape.tokenWidth)
            let orders = looks[0].orders
            func fill(_ seed: UInt64) throws -> MaskedProbe.Look {
                try probe.fill(whole, Self.labels, images: Self.images, orders: orders, hidden: hidden, seed: seed)
            }
            let look = try fill(1)
            #expect(look.orders == orders)
            #expect(
                try look.entropy.chunks(Self.tokens)
                    == model.entropies(whole, orders.chunks(Self.tokens), known: hidden..<Self.tokens))
            let (before, after) = (whole.chunks(width), look.after.chunks(width))
            for (place, position) in orders.enumerated() {
                let row = place / Self.tokens * Self.tokens + Int(position)
                #expect((before[row] == after[row]) == (place % Self.tokens >= hidden))
            }
            #expect(try fill(1).after == look.after && fill(2).after != look.after && fill(2).entropy == look.entropy)
        }
    }

    @Test("an image drawn by entropy is the same whatever else is drawn with it", arguments: [Float(1), 2])
    func alone(cfg: Float) throws {
        try TestDevice.with(.cpu16) { device in
            let model = try Model("drift", device)
            func draw(_ labels: [Int], _ images: Range<Int>) throws -> [[Float]] {
                try model.loop(.entropy, rounds: 4).draw(labels, images: images, cfg: cfg, seed: 5)
                    .chunks(Self.tokens * model.stage.shape.tokenWidth)
            }
            let many = try draw(Self.labels, 0..<4)
            #expect(many.count == 12 && Set(many).count == 12)
            #expect(try draw([7], 2..<3) == [many[6]])
        }
    }
}

extension Array {
    fileprivate func chunks(_ size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<($0 + size)]) }
    }
}
