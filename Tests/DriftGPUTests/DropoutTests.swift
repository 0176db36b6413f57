import TestSupport
import Testing

@testable import DriftGPU

@Suite struct DropoutTests {
    @Test(arguments: TestDevice.shapes) func keepsAndScales(_ shape: TeamShape) throws {
        let count = 40_007
        let y = try RandomTests.draw(shape) { graph, clock in
            try graph.dropout(graph.fill([count], with: 3), Dropout(probability: 0.25, clock: clock))
        }
        #expect(y.allSatisfy { $0 == 0 || abs($0 - 4) < 1e-6 })
        let dropped = Double(y.filter { $0 == 0 }.count) / Double(count)
        #expect(abs(dropped - 0.25) < 0.01)
    }

    @Test func allTeamShapesDropTheSame() throws {
        let results = try TestDevice.shapes.map { shape in
            try RandomTests.draw(shape) { graph, clock in
                try graph.dropout(graph.fill([1037], with: 1), Dropout(probability: 0.1, clock: clock))
            }
        }
        for other in results.dropFirst() { #expect(results[0] == other) }
    }

    @Test(arguments: TestDevice.shapes) func gradientHasTheSameMask(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let clock = try graph.input("clock", [4], .uint32)
            let (x, seed) = (try graph.input("x", [501]), try graph.input("seed", [501]))
            let y = try graph.dropout(x, Dropout(probability: 0.5, clock: clock))
            let gradients = try graph.gradients(of: [(y, seed)], withRespectTo: [x])
            let dx = try #require(gradients[0])
            graph.output(y)
            graph.output(dx)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write(RandomTests.clock, to: clock)
            try executor.write([Float](repeating: 1, count: 501), to: x)
            try executor.write([Float](repeating: 1, count: 501), to: seed)
            try executor.run()
            #expect(try executor.read(y) == executor.read(dx))
        }
    }

    @Test func probabilityIsChecked() throws {
        let graph = Graph()
        let (x, clock) = (try graph.input("x", [3]), try graph.input("clock", [4], .uint32))
        #expect(try graph.dropout(x, Dropout(probability: 0, clock: clock)) == x)
        #expect(throws: GraphError.self) { try graph.dropout(x, Dropout(probability: 1, clock: clock)) }
        #expect(throws: GraphError.self) { try graph.dropout(x, Dropout(probability: .nan, clock: clock)) }
    }
}
