import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ScaleTests {
    @Test(arguments: ScaleCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func factorIsOneElement() throws {
        let graph = Graph()
        let (x, by) = (try graph.input("x", [3]), try graph.input("by", [2]))
        #expect(throws: GraphError.self) { try graph.scale(x, by: by) }
        #expect(try graph.scale(x, by: Float(1)) == x)
    }
}
