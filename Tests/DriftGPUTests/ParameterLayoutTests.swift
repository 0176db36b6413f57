import Testing

@testable import DriftGPU

@Suite struct ParameterLayoutTests {
    private let parameters = [("fc.weight", [3, 50]), ("fc.bias", [3]), ("norm.weight", [64]), ("pos", [1, 65])]

    @Test func everyParameterBeginsOnABlock() throws {
        let layout = try ParameterLayout(parameters.map { (name: $0.0, shape: $0.1) })
        #expect(layout.entries.map(\.offset) == [0, 192, 256, 320])
        #expect(layout.count == 448)
        #expect(layout.parameterCount == 150 + 3 + 64 + 65)
        #expect(layout["norm.weight"]?.shape == [64] && layout["other"] == nil)
        #expect(layout.storage("ema") == Storage("ema", count: 448, lifetime: .checkpointed))
    }

    @Test func flagsSayWhatABlockMayDo() throws {
        let layout = try ParameterLayout(parameters.map { (name: $0.0, shape: $0.1) })
        let flags = layout.flags { $0.name != "pos" }
        let (decayed, plain) = (Int32(3), OptimizerFlags.active.rawValue)
        #expect(OptimizerFlags([.active, .decay]).rawValue == decayed)
        #expect(flags == [decayed, decayed, decayed, plain, plain, 0, 0])
    }

    @Test func aParameterMayBeLeftOutOfTheDecay() throws {
        let layout = try ParameterLayout(parameters.map { (name: $0.0, shape: $0.1) }, undecayed: ["fc.weight"])
        #expect(layout.entries.map(\.decays) == [false, false, false, true])
    }

    @Test func namesAreUnique() {
        #expect(throws: GraphError.self) { try ParameterLayout([("a", [1]), ("a", [2])]) }
    }

    @Test func emptyLayoutHasABlock() throws {
        #expect(try ParameterLayout([]).count == ParameterLayout.block)
    }
}
