import TestSupport
import Testing

@testable import DriftGPU

@Suite struct RecomputationTests {
    private static let (rows, width, depth) = (24, 32, 5)

    private struct Chain {
        let graph: Graph
        let x: Tensor
        let weights: [Tensor]
        let clock: Tensor
        let loss: Tensor
        let gradients: [Tensor]
    }

    /// Blocks of LayerNorm, GEMM, GELU, GEMM and a residual with dropout, each a segment, one within another.
    private func chain(recomputing: Bool) throws -> Chain {
        let graph = Graph()
        let (rows, width) = (Self.rows, Self.width)
        let x = try graph.input("x", [rows, width])
        let clock = try graph.input("clock", [4], .uint32)
        let (scale, shift) = (try graph.fill([width], with: 1), try graph.fill([width], with: 0))
        var weights: [Tensor] = []
        var h = x
        for block in 0..<Self.depth {
            let (up, down) = (try graph.input("up\(block)", [2 * width, width]), try graph.input("down\(block)", [width, 2 * width]))
            weights += [up, down]
            let input = h
            h = try graph.segment {
                let normed = try graph.layerNorm(input, weight: scale, bias: shift, epsilon: 1e-6)
                let hidden = try graph.segment { try graph.gelu(graph.linear(normed, weight: up)) }
                return try graph.residual(
                    input, graph.linear(hidden, weight: down), dropout: Dropout(probability: 0.25, clock: clock))
            }
        }
        let loss = try graph.mean(graph.gelu(graph.reshape(h, [rows * width])))
        let gradients = try graph.gradients(of: loss, withRespectTo: [x] + weights, recomputing: recomputing).compactMap { $0 }
        (gradients + [loss]).forEach(graph.output)
        return Chain(graph: graph, x: x, weights: weights, clock: clock, loss: loss, gradients: gradients)
    }

    @Test(arguments: TestDevice.shapes) func sameBitsInLessMemory(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            var arenas: [Int] = []
            var results: [[[UInt32]]] = []
            for recomputing in [false, true] {
                let chain = try chain(recomputing: recomputing)
                let schedule = try Schedule(chain.graph, traits: device.traits, gemm: device.gemm)
                let executor = try Executor(schedule, memory: DeviceMemory(device))
                var random = TestRandom(9)
                for tensor in [chain.x] + chain.weights {
                    try executor.write((0..<tensor.count).map { _ in Float(random.normal() * 0.3) }, to: tensor)
                }
                try executor.write([UInt32(5), 0, 3, 0], to: chain.clock)
                try executor.run()
                #expect(chain.gradients.count == 1 + 2 * Self.depth)
                results.append(try (chain.gradients + [chain.loss]).map { try executor.read($0).map(\.bitPattern) })
                arenas.append(schedule.plan.arenaBytes)
                // A segment's own result is not needed a second time.
                #expect(schedule.steps.filter { $0.node.operation is Residual }.count == Self.depth)
            }
            #expect(results[0] == results[1])
            #expect(arenas[1] < arenas[0], "\(arenas)")
        }
    }

    @Test func copiesKeepTheirPart() throws {
        let graph = Graph()
        let x = try graph.input("x", [4, 8])
        let y = try graph.part("head") { try graph.segment { try graph.gelu(graph.gelu(x)) } }
        let before = graph.nodes.count
        _ = try graph.gradients(of: graph.mean(y), withRespectTo: [x], recomputing: true)
        let again = graph.nodes[before...].filter { node in graph.nodes[..<before].contains { $0.operation.name == node.operation.name && $0.part == "head" } }
        #expect(!again.isEmpty && again.allSatisfy { $0.part == "head" })
    }

    @Test func whatWritesCannotRunTwice() throws {
        let graph = Graph()
        let x = try graph.input("x", [4])
        let restart = try graph.input("restart", [1])
        let sum = try graph.input("sum", [4])
        let y = try graph.segment {
            let doubled = try graph.scale(x, by: 2)
            try graph.accumulate(doubled, into: sum, restart: restart)
            return try graph.gelu(doubled)
        }
        let loss = try graph.mean(y)
        #expect(throws: GraphError.self) { try graph.gradients(of: loss, withRespectTo: [x], recomputing: true) }
        #expect(try graph.gradients(of: loss, withRespectTo: [x])[0] != nil)
    }

    @Test func whatIsReadMustStay() throws {
        let graph = Graph()
        let (x, restart) = (try graph.input("x", [4]), try graph.input("restart", [1]))
        let sum = try graph.input("sum", [4])
        let y = try graph.segment { try graph.gelu(graph.add(x, sum)) }
        try graph.accumulate(x, into: sum, restart: restart)
        let loss = try graph.mean(y)
        #expect(throws: GraphError.self) { try graph.gradients(of: loss, withRespectTo: [x], recomputing: true) }
    }

    @Test func nodesOutsideOfSegmentsAreNotRepeated() throws {
        let graph = Graph()
        let x = try graph.input("x", [4])
        let loss = try graph.mean(graph.gelu(x))
        let before = graph.nodes.count
        _ = try graph.gradients(of: loss, withRespectTo: [x], recomputing: true)
        #expect(!graph.nodes[before...].contains { $0.operation.name == graph.nodes[0].operation.name })
    }
}
