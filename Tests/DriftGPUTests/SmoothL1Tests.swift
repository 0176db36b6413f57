import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct SmoothL1Tests {
    @Test(arguments: SmoothL1Cases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3, 4]), try graph.input("b", [2, 4, 3]))
        #expect(throws: GraphError.self) { try graph.smoothL1(a, b) }
        #expect(throws: GraphError.self) { try graph.smoothL1(a, a, shift: 3) }
    }
}
