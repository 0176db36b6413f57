import TestSupport
import Testing

@testable import DriftGPU

@Suite struct SplitTests {
    /// [outer, parts, inner] along axis 1: one part, as many as a launch takes, more, and rows of every kind.
    static let cases: [OperationCase] = [
        make(3, 1, 4), make(2, 2, 7), make(5, 6, 50), make(3, 7, 1), make(1, 6, 33), make(4, 13, 5),
    ]

    static func make(_ outer: Int, _ parts: Int, _ inner: Int) -> OperationCase {
        OperationCase(
            name: "split \(outer) x \(parts) x \(inner)", inputs: [.init(shape: [outer, parts, inner])],
            build: { graph, x in try graph.split(x[0], axis: 1) },
            reference: { x in (0..<parts).map { part(x[0], $0, outer, parts, inner) } })
    }

    /// Part `index` of [outer, parts, inner].
    static func part(_ x: [Double], _ index: Int, _ outer: Int, _ parts: Int, _ inner: Int) -> [Double] {
        var y: [Double] = []
        for row in 0..<outer {
            let begin = (row * parts + index) * inner
            y += x[begin..<(begin + inner)]
        }
        return y
    }

    /// Along the first axis, and with a part nothing depends on: its gradient is zero.
    static let others: [OperationCase] = [
        OperationCase(
            name: "split first axis", inputs: [.init(shape: [3, 2, 5])],
            build: { graph, x in try graph.split(x[0], axis: 0) },
            reference: { x in (0..<3).map { part(x[0], $0, 1, 3, 10) } }),
        OperationCase(
            name: "split, one part used", inputs: [.init(shape: [3, 4, 5])],
            build: { graph, x in [try graph.split(x[0], axis: 1)[2]] },
            reference: { x in [part(x[0], 2, 3, 4, 5)] }),
    ]

    @Test(arguments: cases + others, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

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
