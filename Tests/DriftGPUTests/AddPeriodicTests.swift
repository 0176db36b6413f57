import Testing

@testable import DriftGPU

@Suite struct AddPeriodicTests {
    @Test func periodMustFit() throws {
        let graph = Graph()
        let (a, b) = (try graph.input("a", [2, 3]), try graph.input("b", [4]))
        #expect(throws: GraphError.self) { try graph.addPeriodic(a, b) }
    }
}
