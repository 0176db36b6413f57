import Testing

@testable import DriftGPU

@Suite struct PosteriorTests {
    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let moments = try graph.input("moments", [2, 6, 4])
        for shape in [[2, 6, 4], [3, 3, 4], [1, 24], [2, 3, 3]] {
            let name = "eps\(shape.count)\(shape.reduce(1, *))"
            #expect(throws: GraphError.self) { try graph.posterior(moments: moments, eps: graph.input(name, shape)) }
        }
        #expect(try graph.posterior(moments: moments, eps: graph.input("eps", [2, 3, 4])).shape == [2, 3, 4])
    }
}
