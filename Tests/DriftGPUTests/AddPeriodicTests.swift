import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AddPeriodicTests {
    @Test(arguments: AddPeriodicCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func periodMustFit() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3]), try graph.input("b", [4]))
        #expect(throws: GraphError.self) { try graph.addPeriodic(a, b) }
    }
}
