import Testing

@testable import DriftGPU

@Suite struct GuidanceTests {
    @Test func needsTwoHalves() throws {
        let graph = Graph()
        let (odd, even) = (try graph.input("odd", [3, 4]), try graph.input("even", [4, 3]))
        let (cfg, three) = (try graph.input("cfg", [1]), try graph.input("three", [3]))
        #expect(throws: GraphError.self) { try graph.guidance(odd, by: cfg) }
        #expect(throws: GraphError.self) { try graph.guidance(even, by: three) }
    }
}
