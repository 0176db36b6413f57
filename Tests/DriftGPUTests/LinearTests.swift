import Testing

@testable import DriftGPU

@Suite struct LinearTests {
    /// Launches of a graph without a device, in the GPU shape, where a product is one launch.
    private func launches(_ build: (Graph, Tensor) throws -> Tensor) throws -> Int {
        let graph = Graph()
        graph.output(try build(graph, graph.linear(graph.input("x", [4, 8]), weight: graph.input("w", [16, 8]))))
        return try Schedule(graph, traits: DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2), gemm: NativeGEMM()).launches
    }

    @Test func followersAreFused() throws {
        #expect(try launches { graph, y in try graph.gelu(y) } == 1)
        #expect(try launches { graph, y in try graph.silu(y) } == 1)
        #expect(try launches { graph, y in try graph.relu(y) } == 2)
        #expect(try launches { graph, y in try graph.add(graph.input("residual", [4, 16]), y) } == 1)
        #expect(try launches { graph, y in try graph.residual(graph.input("residual", [4, 16]), y) } == 1)
        let gated = try launches { graph, y in
            let gate = try graph.input("gate", [2, 16])
            return try graph.residual(graph.input("residual", [4, 16]), y, gate: gate, map: RowMap(span: 2))
        }
        #expect(gated == 1)
    }

    /// Launches of the gradients of a weight [24, 64] and its bias over so many rows, in the CPU shape: the bias's comes with
    /// the weight's, unless that product is split.
    @Test(arguments: [(rows: 120, launches: 1), (rows: 4000, launches: 4)])
    func biasGradientRidesAlong(_ rows: Int, _ launches: Int) throws {
        let graph = Graph()
        let parameters = [try graph.input("weight", [24, 64]), try graph.input("bias", [24])]
        let y = try graph.linear(graph.input("x", [rows, 64]), weight: parameters[0], bias: parameters[1])
        let gradients = try graph.gradients(of: graph.sum(graph.silu(y)), withRespectTo: parameters)
        gradients.compactMap { $0 }.forEach(graph.output)
        let schedule = try Schedule(graph, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        let products = schedule.steps.filter { $0.product?.transposeA == true }
        #expect(gradients.count == 2 && products.count == 1)
        #expect(products.reduce(0) { $0 + $1.commands.count } == launches)
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [2, 3]), try graph.input("weight", [5, 3]))
        #expect(throws: GraphError.self) { try graph.linear(x, weight: graph.input("other", [5, 4])) }
        #expect(throws: GraphError.self) { try graph.linear(x, weight: weight, bias: graph.input("bias", [4])) }
    }
}
