import Testing

@testable import DriftGPU

@Suite struct GaussianDivergenceTests {
    @Test func shapesAreChecked() throws {
        let graph = Graph()
        for (number, shape) in [[4], [2, 3, 2], [1, 0, 3]].enumerated() {
            #expect(throws: GraphError.self) { try graph.gaussianDivergence(graph.input("x\(number)", shape)) }
        }
        #expect(try graph.gaussianDivergence(graph.input("x", [2, 6, 4, 5])).shape == [2])
    }
}
