import Testing

@testable import DriftGPU

@Suite struct UpsampleTests {
    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, flat) = (try graph.input("x", [1, 2, 2, 8]), try graph.input("flat", [4, 8]))
        for (tensor, factor) in [(flat, 2), (x, 0), (x, -1), (x, 65)] {
            #expect(throws: GraphError.self) { try graph.upsample(tensor, factor: factor) }
        }
    }
}
