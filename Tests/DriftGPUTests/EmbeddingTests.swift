import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct EmbeddingTests {
    @Test(arguments: EmbeddingCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (table, labels) = (try graph.input("table", [5, 3]), try graph.input("labels", [4]))
        #expect(throws: GraphError.self) { try graph.embedding(table, labels: labels) }
    }
}
