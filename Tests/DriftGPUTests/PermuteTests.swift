import Testing

@testable import DriftGPU

@Suite struct PermuteTests {
    @Test func axesMustExist() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 3])
        #expect(throws: GraphError.self) { try graph.permute(x, axis: 1) }
    }
}
