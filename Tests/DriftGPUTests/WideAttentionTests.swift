import Testing

@testable import DriftGPU

@Suite struct WideAttentionTests {
    /// The weights of all 4096 x 4096 positions would take 64 MiB.
    @Test func holdsTheWeightsOfABlock() throws {
        let graph = Graph()
        let inputs = try ["query", "key", "value"].map { try graph.input($0, [1, 4096, 256]) }
        graph.output(try graph.singleHeadAttention(query: inputs[0], key: inputs[1], value: inputs[2]))
        let schedule = try Schedule(graph, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        #expect(schedule.plan.arenaBytes < 16 << 20)
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let query = try graph.input("query", [2, 5, 130])
        for shape in [[2, 5, 131], [1, 5, 130], [10, 130]] {
            let key = try graph.input("key\(shape.count)\(shape[0])\(shape.last ?? 0)", shape)
            #expect(throws: GraphError.self) { try graph.singleHeadAttention(query: query, key: key, value: key) }
        }
        let (key, value) = (try graph.input("key", [2, 7, 130]), try graph.input("value", [2, 6, 130]))
        #expect(throws: GraphError.self) { try graph.singleHeadAttention(query: query, key: key, value: value) }
    }
}
