import Testing

@testable import DriftGPU

@Suite struct LayerNormTests {
    @Test func gradientWithoutParametersIsOneLaunch() throws {
        let graph = Graph()
        let x = try graph.input("x", [6, 10])
        let weight = try graph.constant("weight", [Float](repeating: 2, count: 10), [10])
        let y = try graph.layerNorm(x, weight: weight, bias: weight, epsilon: 1e-6)
        _ = try graph.gradients(of: [(y, graph.input("seed", [6, 10]))], withRespectTo: [x])
        let gradient = try #require(graph.nodes.last { $0.operation is LayerNormGradient })
        #expect(gradient.outputs.count == 1)
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, wide, narrow) = (try graph.input("x", [4, 6]), try graph.input("w", [6]), try graph.input("n", [5]))
        #expect(throws: GraphError.self) { try graph.layerNorm(x, weight: narrow, bias: wide, epsilon: 0) }
        #expect(throws: GraphError.self) { try graph.layerNorm(x, weight: wide, bias: narrow, epsilon: 0) }
        let rows = try graph.input("rows", [3, 6])
        for map in [RowMap(span: 2), RowMap(span: 3), RowMap(span: 0), RowMap(span: 4, inner: 3)] {
            #expect(throws: GraphError.self) {
                try graph.layerNorm(
                    x, weight: wide, bias: wide, epsilon: 0, modulation: Modulation(shift: rows, scale: rows, map: map))
            }
        }
    }
}
