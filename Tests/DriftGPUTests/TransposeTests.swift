import Testing

@testable import DriftGPU

@Suite struct TransposeTests {
    @Test func twoAxesAreNeeded() throws {
        let graph = Graph()
        let x = try graph.input("x", [3])
        #expect(throws: GraphError.self) { try graph.transpose(x) }
    }
}
