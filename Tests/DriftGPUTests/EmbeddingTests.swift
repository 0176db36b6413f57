import Testing

@testable import DriftGPU

@Suite struct EmbeddingTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (table, labels) = (try graph.input("table", [5, 3]), try graph.input("labels", [4]))
        #expect(throws: GraphError.self) { try graph.embedding(table, labels: labels) }
    }
}
