import Testing

@testable import DriftGPU

@Suite struct PairwiseDistanceTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let gen = try graph.input("gen", [2, 3, 4])
        for shape in [[3, 3, 4], [2, 3, 5], [6, 4]] {
            let positive = try graph.input("positive \(shape)", shape)
            #expect(throws: GraphError.self) { try graph.pairwiseDistance(gen, to: DriftTargets(positive: positive)) }
        }
    }

    @Test func weightsMustAgree() throws {
        let graph = Graph()
        let (gen, positive) = (try graph.input("gen", [2, 3, 4]), try graph.input("positive", [2, 5, 4]))
        let (short, good) = (try graph.input("short", [2, 3]), try graph.input("good", [2, 5]))
        #expect(throws: GraphError.self) {
            try graph.pairwiseDistance(
                gen, to: DriftTargets(positive: positive, weights: .init(gen: short, positive: short)))
        }
        #expect(throws: GraphError.self) {
            try graph.pairwiseDistance(
                gen, to: DriftTargets(positive: positive, negative: positive, weights: .init(gen: short, positive: good)))
        }
    }
}
