import Testing

@testable import DriftGPU

@Suite struct ModulateTests {
    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, right, wrong) = (try graph.input("x", [4, 6]), try graph.input("a", [2, 6]), try graph.input("b", [2, 5]))
        let map = RowMap(span: 2)
        #expect(try graph.modulate(x, Modulation(shift: right, scale: right, map: map)).shape == [4, 6])
        #expect(throws: GraphError.self) { try graph.modulate(x, Modulation(shift: right, scale: wrong, map: map)) }
        #expect(throws: GraphError.self) { try graph.modulate(x, Modulation(shift: wrong, scale: right, map: map)) }
    }
}
