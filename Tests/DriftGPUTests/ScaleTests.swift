import Testing

@testable import DriftGPU

@Suite struct ScaleTests {
    @Test func factorIsOneElement() throws {
        let graph = Graph()
        let (x, by) = (try graph.input("x", [3]), try graph.input("by", [2]))
        #expect(throws: GraphError.self) { try graph.scale(x, by: by) }
        #expect(try graph.scale(x, by: Float(1)) == x)
    }
}
