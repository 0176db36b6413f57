import Testing

@testable import DriftGPU

@Suite struct DiffusionTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let times = try DiffusionTimes(graph, name: "times", rows: [[1, 0, 0, 0, 0, 0]])
        let (x, noise, time) = (try graph.input("x", [2, 3]), try graph.input("noise", [4, 3]), try graph.input("time", [4]))
        let output = try graph.input("output", [4, 6])
        #expect(try graph.diffusionNoised(x, noise: noise, time: time, times).shape == [4, 3])
        #expect(try graph.diffusionLoss(output, x: x, noise: noise, time: time, times).bound.shape == [4])
        let (odd, other) = (try graph.input("odd", [3, 3]), try graph.input("other", [3]))
        #expect(throws: GraphError.self) { try graph.diffusionNoised(odd, noise: noise, time: time, times) }
        #expect(throws: GraphError.self) { try graph.diffusionNoised(x, noise: noise, time: other, times) }
        #expect(throws: GraphError.self) { try graph.diffusionLoss(noise, x: x, noise: noise, time: time, times) }
        #expect(throws: GraphError.self) { try graph.diffusionLoss(output, x: odd, noise: noise, time: time, times) }
        #expect(throws: GraphError.self) { try DiffusionTimes(graph, name: "short", rows: [[1]]) }
        let step = try graph.input("step", [9])
        let cfg = try graph.input("cfg", [1])
        #expect(try graph.diffusionStep(noise, output: output, noise: noise, step: step).shape == [4, 3])
        #expect(try graph.diffusionStep(x, output: output, noise: x, step: step, cfg: cfg).shape == [2, 3])
        #expect(throws: GraphError.self) { try graph.diffusionStep(noise, output: output, noise: noise, step: step, cfg: cfg) }
        #expect(throws: GraphError.self) { try graph.diffusionStep(noise, output: output, noise: noise, step: cfg) }
        #expect(throws: GraphError.self) { try graph.diffusionStep(noise, output: output, noise: noise, step: step, limit: -1) }
    }

    /// A time outside the table takes the nearest row, and not what lies beside the table.
    @Test func timesStayInTheTable() throws {
        let values = try RandomTests.draw(.cpu16) { graph, _ in
            let times = try DiffusionTimes(graph, name: "times", rows: [[2, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]])
            let time = try graph.constant("time", [-5, 0, 1, 2, 1e9] as [Float], [5])
            return try graph.diffusionNoised(graph.fill([1, 1], with: 1), noise: graph.fill([5, 1], with: 1), time: time, times)
        }
        #expect(values == [2, 2, 3, 3, 3])
    }

    @Test func noGradientReachesWhatIsGiven() throws {
        let graph = Graph()
        let (samples, targets) = (try graph.input("samples", [2, 3, 4]), try graph.input("targets", [3, 4]))
        let score = try graph.energyScore(samples, targets: targets)
        let seed = try graph.input("seed", [3])
        #expect(throws: GraphError.self) { try graph.gradients(of: [(score.score, seed)], withRespectTo: [targets]) }
        #expect(throws: GraphError.self) { try graph.energyScore(samples, targets: graph.input("two", [2, 4])) }
        #expect(throws: GraphError.self) { try graph.energyScore(samples, targets: targets, power: 0) }
        #expect(throws: GraphError.self) { try graph.sinusoid(seed, width: 3) }
    }
}
