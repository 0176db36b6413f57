import Testing

@testable import DriftGPU

@Suite struct MatrixMultiplyTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let a = try graph.input("a", [2, 3])
        #expect(throws: GraphError.self) { try graph.matrixMultiply(a, a) }
        #expect(throws: GraphError.self) { try graph.matrixMultiply(a, graph.input("row", [3])) }
        #expect(throws: GraphError.self) { try graph.matrixMultiply(a, graph.input("batch", [2, 3, 4])) }
    }
}
