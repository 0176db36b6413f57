import Testing

@testable import DriftGPU

@Suite struct GroupNormTests {
    @Test func siluFuses() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [1, 6, 8]), try graph.input("weight", [8]))
        graph.output(try graph.silu(graph.groupNorm(x, weight: weight, bias: weight, groups: 2, epsilon: 1e-6)))
        let schedule = try Schedule(graph, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        #expect(schedule.steps.map(\.node.operation.name) == ["group_norm_silu"])
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [1, 6, 8]), try graph.input("weight", [8]))
        let (short, flat) = (try graph.input("short", [7]), try graph.input("flat", [8]))
        let attempts: [() throws -> Tensor] = [
            { try graph.groupNorm(x, weight: weight, bias: weight, groups: 3, epsilon: 0) },
            { try graph.groupNorm(x, weight: weight, bias: weight, groups: 0, epsilon: 0) },
            { try graph.groupNorm(x, weight: weight, bias: weight, groups: 2, epsilon: -1) },
            { try graph.groupNorm(x, weight: short, bias: weight, groups: 2, epsilon: 0) },
            { try graph.groupNorm(x, weight: weight, bias: short, groups: 2, epsilon: 0) },
            { try graph.groupNorm(flat, weight: weight, bias: weight, groups: 2, epsilon: 0) },
        ]
        for attempt in attempts { #expect(throws: GraphError.self) { try attempt() } }
    }
}
