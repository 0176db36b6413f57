import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct PermuteTests {
    @Test(arguments: PermuteCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func axesMustExist() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 3])
        #expect(throws: GraphError.self) { try graph.permute(x, axis: 1) }
    }
}
