import Testing

@testable import DriftGPU

@Suite struct SmoothL1Tests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3, 4]), try graph.input("b", [2, 4, 3]))
        #expect(throws: GraphError.self) { try graph.smoothL1(a, b) }
        #expect(throws: GraphError.self) { try graph.smoothL1(a, a, shift: 3) }
    }
}
