import Testing

@testable import DriftGPU

@Suite struct PatchifyTests {
    @Test func patchMustFit() throws {
        let graph = Graph()
        let x = try graph.input("x", [1, 1, 8, 6])
        #expect(throws: GraphError.self) { try graph.patchify(x, patch: 4) }
    }
}
