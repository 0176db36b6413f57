import Testing

@testable import DriftGPU

@Suite struct SliceTests {
    @Test func rangeIsChecked() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 3])
        #expect(throws: GraphError.self) { try graph.slice(x, axis: 1, 1..<4) }
        #expect(throws: GraphError.self) { try graph.slice(x, axis: 2, 0..<1) }
        #expect(try graph.slice(x, axis: 1, 0..<3) == x)
    }
}
