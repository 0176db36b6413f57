import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct PatchifyTests {
    @Test(arguments: PatchifyCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func patchMustFit() throws {
        let graph = Graph()
        let x = try graph.input("x", [1, 1, 8, 6])
        #expect(throws: GraphError.self) { try graph.patchify(x, patch: 4) }
    }
}
