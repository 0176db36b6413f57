import TestSupport
import Testing

@testable import DriftGPU

@Suite struct GradientsTests {
    private func run(_ graph: Graph, _ inputs: [(Tensor, [Float])], _ wanted: [Tensor]) throws -> [[Float]] {
        guard let shape = TestDevice.shapes.first else { return [] }
        return try TestDevice.with(shape) { device in
            wanted.forEach(graph.output)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            for (tensor, values) in inputs { try executor.write(values, to: tensor) }
            try executor.run()
            return try wanted.map { try executor.read($0) }
        }
    }

    @Test func detachedPathsGiveNothing() throws {
        let graph = Graph()
        let x = try graph.input("x", [3])
        let loss = try graph.sum(graph.add(graph.scale(x, by: 2), graph.detach(graph.scale(x, by: 5))))
        let gradient = try #require(try graph.gradients(of: loss, withRespectTo: [x])[0])
        let got = try run(graph, [(x, [1, 2, 3])], [loss, gradient])
        #expect(got == [[42], [2, 2, 2]])
    }

    @Test func independentTargetsHaveNoGradient() throws {
        let graph = Graph()
        let (x, y) = (try graph.input("x", [3]), try graph.input("y", [3]))
        let loss = try graph.sum(graph.add(x, graph.detach(y)))
        let gradients = try graph.gradients(of: loss, withRespectTo: [x, y])
        #expect(gradients[0] != nil && gradients[1] == nil)
    }

    /// Backward nodes exist for what leads to the loss only.
    @Test func unusedOutputsCostNothing() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 2, 3])
        let parts = try graph.split(x, axis: 1)
        _ = try graph.gelu(parts[1])
        let before = graph.nodes.count
        let loss = try graph.sum(parts[0])
        let gradient = try #require(try graph.gradients(of: loss, withRespectTo: [x])[0])
        #expect(!graph.nodes[before...].contains { $0.operation.name.contains("gelu") })
        let got = try run(graph, [(x, [Float](repeating: 1, count: 12))], [gradient])
        #expect(got == [[1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0]])
    }

    @Test func targetInsideTheGraph() throws {
        let graph = Graph()
        let x = try graph.input("x", [2])
        let middle = try graph.scale(x, by: 3)
        let loss = try graph.sum(graph.scale(middle, by: 5))
        let gradients = try graph.gradients(of: loss, withRespectTo: [middle, x, loss]).compactMap { $0 }
        let got = try run(graph, [(x, [1, 1])], gradients)
        #expect(got == [[5, 5], [15, 15], [1]])
    }

    @Test func lossHasOneElement() throws {
        let graph = Graph()
        let x = try graph.input("x", [3])
        #expect(throws: GraphError.self) { try graph.gradients(of: x, withRespectTo: [x]) }
    }
}
