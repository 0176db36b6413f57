import Testing

@testable import DriftGPU

@Suite struct PriorTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (token, entropy) = (try graph.input("token", [2, 3, 4]), try graph.input("entropy", [2, 3]))
        let noise = try graph.input("noise", [5, 3, 4])
        #expect(throws: GraphError.self) { try graph.prior(token: token, entropy: entropy, noise: noise, SigmaMap()) }
        #expect(throws: GraphError.self) { try graph.sigma(entropy, SigmaMap(tau: 0)) }
    }
}
