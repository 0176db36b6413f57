import Checks
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

    /// Each number below the limit about as often, in every team shape the same.
    @Test func wholeNumbersAreEven() throws {
        let (count, limit) = (100_003, 10)
        let draws = try TestDevice.shapes.map { shape in
            try Self.draw(shape) { graph, clock in try graph.randomWhole(below: limit, [count], clock: clock) }
        }
        for draw in draws { #expect(draw == draws[0]) }
        let counts = Dictionary(grouping: draws[0], by: { $0 }).mapValues(\.count)
        #expect(Set(counts.keys) == Set((0..<limit).map(Float.init)))
        #expect(counts.values.allSatisfy { abs($0 - count / limit) < 500 }, "\(counts)")
        let times = try Self.draw(.cpu16) { graph, clock in try graph.randomWhole(below: 1000, [count], clock: clock) }
        #expect(times.min() == 0 && times.max() == 999)
        let graph = Graph()
        let clock = try graph.input("clock", [4], .uint32)
        for limit in [0, (1 << 24) + 1] { #expect(throws: GraphError.self) { try graph.randomWhole(below: limit, [3], clock: clock) } }
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

    /// The noise of an image has the same bits whatever else is drawn with it.
    @Test(arguments: TestDevice.shapes) func noiseBelongsToItsImage(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let (size, images) = (37, 5)
            func draw(_ labels: [Int32], images: Int, first: UInt32, round: UInt32 = 2) throws -> [[Float]] {
                let graph = Graph()
                let source = NoiseSource(
                    stream: 0x1_0000, key: try graph.input("key", [2], .uint32),
                    labels: try graph.input("labels", [labels.count], .int32), firstImage: try graph.input("image", [1], .uint32),
                    round: try graph.input("round", [1], .uint32))
                let y = try graph.randomNormal([size], images: images, of: source)
                graph.output(y)
                let executor = try DeviceMemory(device).executor(graph)
                try executor.write([77, 78] as [UInt32], to: source.key)
                try executor.write(labels, to: source.labels)
                try executor.write([first], to: source.firstImage)
                try executor.write([round], to: source.round)
                try executor.run()
                let values = try executor.read(y)
                return (0..<(labels.count * images)).map { Array(values[($0 * size)..<(($0 + 1) * size)]) }
            }
            let all = try draw([3, 0, 9], images: images, first: 0)
            #expect(Set(all).count == 15)
            #expect(try draw([9, 3], images: 2, first: 3) == [all[13], all[14], all[3], all[4]])
            #expect(try draw([0], images: 1, first: 2) == [all[7]])
            #expect(try Set(draw([3, 0, 9], images: images, first: 0, round: 3) + all).count == 30)
        }
    }

    @Test func noiseNeedsItsSource() throws {
        let graph = Graph()
        let (key, one) = (try graph.input("key", [2], .uint32), try graph.input("one", [1], .uint32))
        let labels = try graph.input("labels", [3], .int32)
        let right = NoiseSource(stream: 0x2_0000, key: key, labels: labels, firstImage: one, round: one)
        #expect(try graph.randomNormal([4, 2], images: 5, of: right).shape == [15, 4, 2])
        for change in [
            { $0.stream = 1 }, { $0.stream = -0x1_0000 }, { $0.stream = 1 << 31 }, { $0.key = one }, { $0.labels = one },
            { $0.firstImage = key }, { $0.round = labels },
        ] as [(inout NoiseSource) -> Void] {
            var wrong = right
            change(&wrong)
            #expect(throws: GraphError.self) { try graph.randomNormal([4, 2], images: 5, of: wrong) }
        }
        #expect(throws: GraphError.self) { try graph.randomNormal([4, 0], images: 5, of: right) }
        #expect(throws: GraphError.self) { try graph.randomNormal([4], images: 0, of: right) }
    }

    @Test func aClockIsNeeded() throws {
        let graph = Graph()
        let wrong = try graph.input("clock", [4])
        #expect(throws: GraphError.self) { try graph.randomNormal([3], clock: wrong) }
    }
}
