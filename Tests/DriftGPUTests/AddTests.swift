import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AddTests {
    static let cases = [1, 7, 50, 1037].map { count in
        OperationCase(
            name: "add \(count)", inputs: [.init(shape: [count]), .init(shape: [count])],
            build: { graph, x in [try graph.add(x[0], x[1])] },
            reference: { x in [zip(x[0], x[1]).map { $0 + $1 }] })
    }

    @Test(arguments: cases, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3]), try graph.input("b", [3, 2]))
        #expect(throws: GraphError.self) { try graph.add(a, b) }
    }
}
