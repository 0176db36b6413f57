import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct TransposeTests {
    @Test(arguments: TransposeCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func twoAxesAreNeeded() throws {
        let graph = Graph()
        let x = try graph.input("x", [3])
        #expect(throws: GraphError.self) { try graph.transpose(x) }
    }
}
