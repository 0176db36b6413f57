import Testing

@testable import DriftGPU

@Suite struct ConcatTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3]), try graph.input("b", [3, 2]))
        #expect(throws: GraphError.self) { try graph.concat([a, b], axis: 0) }
        #expect(throws: GraphError.self) { try graph.concat([a, b], axis: 2) }
    }
}
