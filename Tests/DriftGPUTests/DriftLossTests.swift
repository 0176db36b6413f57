import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct DriftLossTests {
    @Test func onlyTheSamplesHaveAGradient() throws {
        let graph = Graph()
        let drift = DriftReference(samples: 6, negatives: 2, positives: 5, width: 8)
        let x = try drift.inputs.enumerated().map { try graph.input("x\($0.offset)", $0.element.shape) }
        let result = try graph.driftLoss(x[0], targets: drift.targets(x))
        let gradients = try graph.gradients(of: result.loss, withRespectTo: x)
        #expect(gradients[0]?.shape == x[0].shape)
        #expect(gradients[1] == nil && gradients[2] == nil)
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (gen, scale) = (try graph.input("gen", [2, 3, 4]), try graph.input("scale", [1]))
        let (force, products) = (try graph.input("force", [3, 2, 3, 5]), try graph.input("products", [6, 2, 3]))
        #expect(throws: GraphError.self) {
            try graph.apply(DriftLossOperation(affinity: DriftAffinity()), gen, force, products, scale)
        }
    }
}
