import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct SwiGLUTests {
    @Test(arguments: SwiGLUCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func halvesAreNeeded() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 5])
        #expect(throws: GraphError.self) { try graph.swiglu(x) }
    }
}
