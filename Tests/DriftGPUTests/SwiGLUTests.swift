import Testing

@testable import DriftGPU

@Suite struct SwiGLUTests {
    @Test func halvesAreNeeded() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 5])
        #expect(throws: GraphError.self) { try graph.swiglu(x) }
    }
}
