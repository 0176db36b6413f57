import Testing

@testable import DriftGPU

@Suite struct TotalVariationTests {
    @Test func shapesAreChecked() throws {
        let graph = Graph()
        for (number, shape) in [[4, 8], [2, 2, 2], [1, 0, 3, 3]].enumerated() {
            #expect(throws: GraphError.self) { try graph.totalVariation(graph.input("x\(number)", shape), absolute: 1, variation: 1) }
        }
        #expect(try graph.totalVariation(graph.input("x", [2, 3, 4, 5]), absolute: 1, variation: 1).shape == [2, 3])
    }
}
