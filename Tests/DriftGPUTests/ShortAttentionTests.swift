import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

@Suite struct ShortAttentionTests {
    /// The GPU shape has no kernels of its own for these sizes.
    @Test(arguments: TestDevice.shapes.filter { $0 != .gpu }, [(16, 16), (20, 11)])
    func dropoutActsOnTheWeights(_ shape: TeamShape, _ length: (queries: Int, keys: Int)) throws {
        try AttentionTests.checkDropout(
            .init(batch: 2, queries: length.queries, keys: length.keys, heads: 2, headDim: 16), shape)
    }

    static func family(_ queries: Int, _ keys: Int, headDim: Int, _ traits: DeviceTraits) throws -> [String] {
        let graph = Graph()
        let query = try graph.input("query", [2, queries, 2 * headDim])
        let key = try graph.input("key", [2, keys, 2 * headDim])
        let out = try graph.crossAttention(query: query, key: key, value: key, heads: 2)
        let gradients = try graph.gradients(of: [(out, query)], withRespectTo: [query])
        gradients.compactMap { $0 }.forEach(graph.output)
        return try Schedule(graph, traits: traits, gemm: NativeGEMM()).steps.flatMap(\.commands).compactMap { command in
            if case .kernel(let launch) = command { launch.family } else { nil }
        }
    }

    /// Only whole vectors of columns, and as many queries and keys as a head holds at once.
    @Test func isTakenForShortSequencesOnACPU() throws {
        let cpu = DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2)
        let gpu = DeviceTraits(teamSize: 256, lanes: 4, computeUnits: 2)
        for (queries, keys, headDim) in [(1, 1, 16), (16, 16, 16), (20, 32, 64)] {
            #expect(try Self.family(queries, keys, headDim: headDim, cpu).contains("cpu_attention_short"))
            #expect(try Self.family(queries, keys, headDim: headDim, cpu).contains("cpu_attention_short_backward"))
            #expect(try Self.family(queries, keys, headDim: headDim, gpu).allSatisfy { !$0.hasPrefix("cpu_attention_short") })
        }
        for (queries, keys, headDim) in [(16, 33, 16), (33, 16, 16), (16, 16, 12), (16, 16, 80)] {
            #expect(try Self.family(queries, keys, headDim: headDim, cpu).allSatisfy { !$0.hasPrefix("cpu_attention_short") })
        }
    }
}
