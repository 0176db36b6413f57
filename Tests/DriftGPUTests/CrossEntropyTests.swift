import Testing

@testable import DriftGPU

@Suite struct CrossEntropyTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let logits = try graph.input("logits", [4, 3])
        let (few, floats) = (try graph.input("few", [3], .int32), try graph.input("floats", [4]))
        #expect(throws: GraphError.self) { try graph.crossEntropy(logits, labels: few) }
        #expect(throws: GraphError.self) { try graph.crossEntropy(logits, labels: floats) }
    }
}
