import Testing

@testable import DriftGPU

@Suite struct SplitTests {
    @Test func sixPartsAreOneLaunch() throws {
        let graph = Graph()
        let parts = try graph.split(graph.input("x", [2, 6, 8]), axis: 1)
        graph.output(try graph.concat(parts.reversed().map { try graph.reshape($0, [2, 1, 8]) }, axis: 1))
        let schedule = try Schedule(
            graph, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        #expect(schedule.launches == 2)
    }

    @Test func axisMustExist() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 3])
        #expect(throws: GraphError.self) { try graph.split(x, axis: 2) }
        #expect(throws: GraphError.self) { try graph.split(x, axis: -1) }
    }
}
