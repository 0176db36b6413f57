import TestSupport
import Testing

@testable import DriftGPU

@Suite struct RandomTests {
    static let clock: [UInt32] = [123, 456, 7, 0]

    /// Runs a graph of one output on the clock {seed 123, 456; step} and reads the output.
    static func draw(_ shape: TeamShape, step: UInt32 = 7, _ build: (Graph, Tensor) throws -> Tensor) throws -> [Float] {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let clock = try graph.input("clock", [4], .uint32)
            let y = try build(graph, clock)
            graph.output(y)
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm)
            let executor = try Executor(schedule, memory: DeviceMemory(device))
            try executor.write([123, 456, step, 0] as [UInt32], to: clock)
            try executor.run()
            return try executor.read(y)
        }
    }

    @Test(arguments: TestDevice.shapes) func normalHasItsMoments(_ shape: TeamShape) throws {
        let count = 200_001
        let values = try Self.draw(shape) { graph, clock in try graph.randomNormal([count], clock: clock) }.map(Double.init)
        func moment(_ power: Int) -> Double {
            values.reduce(0) { sum, x in sum + (0..<power).reduce(1) { product, _ in product * x } } / Double(count)
        }
        #expect(abs(moment(1)) < 0.01)
        #expect(abs(moment(2) - 1) < 0.015)
        #expect(abs(moment(3)) < 0.03)
        #expect(abs(moment(4) - 3) < 0.1)
        let neighbours = zip(values, values.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 } / Double(count)
        #expect(abs(neighbours) < 0.01)
    }

    @Test(arguments: TestDevice.shapes) func uniformLiesInItsInterval(_ shape: TeamShape) throws {
        let count = 100_003
        let values = try Self.draw(shape) { graph, clock in try graph.randomUniform([count], clock: clock) }
        #expect(values.allSatisfy { $0 >= 0 && $0 < 1 })
        let mean = values.reduce(0) { $0 + Double($1) } / Double(count)
        #expect(abs(mean - 0.5) < 0.005)
    }

    @Test func allTeamShapesDrawTheSame() throws {
        for count in [1, 50, 63, 64, 65, 4097] {
            let normal = try TestDevice.shapes.map { shape in
                try Self.draw(shape) { graph, clock in try graph.randomNormal([count], clock: clock) }
            }
            for other in normal.dropFirst() {
                #expect(zip(normal[0], other).allSatisfy { abs($0 - $1) <= 2e-6 * max(1, abs($0)) })
            }
            let uniform = try TestDevice.shapes.map { shape in
                try Self.draw(shape) { graph, clock in try graph.randomUniform([count], clock: clock) }
            }
            for other in uniform.dropFirst() { #expect(uniform[0] == other) }
        }
    }

    @Test(arguments: TestDevice.shapes) func stepsAndStreamsDiffer(_ shape: TeamShape) throws {
        let first = try Self.draw(shape) { graph, clock in try graph.randomUniform([64], clock: clock) }
        let later = try Self.draw(shape, step: 8) { graph, clock in try graph.randomUniform([64], clock: clock) }
        let other = try Self.draw(shape) { graph, clock in
            _ = graph.nextStream()
            return try graph.randomUniform([64], clock: clock)
        }
        #expect(zip(first, later).allSatisfy { $0 != $1 })
        #expect(zip(first, other).allSatisfy { $0 != $1 })
    }

    @Test func aClockIsNeeded() throws {
        let graph = Graph()
        let wrong = try graph.input("clock", [4])
        #expect(throws: GraphError.self) { try graph.randomNormal([3], clock: wrong) }
    }
}
