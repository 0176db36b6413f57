import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct RowsTests {
    /// Rows that go to one place are added in the order of the indices, to the bit, however many they are.
    @Test(arguments: TestDevice.shapes) func sumsHaveTheOrderOfTheRows(_ shape: TeamShape) throws {
        let (count, places, width) = (TestDevice.isSmall ? 100 : 3000, 23, 5)
        var random = TestRandom(11)
        let rows = (0..<count).map { _ in Int32(random.next() % 29) * Int32(random.next() % 2) }
        let values = (0..<(count * width)).map { _ in Float(random.normal()) }
        var want = [Float](repeating: 0, count: places * width)
        var isNamed = [Bool](repeating: false, count: places)
        for (i, row) in rows.enumerated() where row < places {
            for column in 0..<width {
                let value = values[i * width + column]
                let place = Int(row) * width + column
                want[place] = isNamed[Int(row)] ? want[place] + value : value
            }
            isNamed[Int(row)] = true
        }
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (x, index) = (try graph.input("x", [count, width]), try graph.input("rows", [count], .int32))
            let y = try graph.scatterRows(x, index, count: places)
            graph.output(y)
            let executor = try DeviceMemory(device).executor(graph)
            try executor.write(values, to: x)
            try executor.write(rows, to: index)
            for _ in 0..<3 {
                try executor.run()
                #expect(try executor.read(y) == want)
            }
        }
    }

    /// A result that is placed where its base lies changes the named rows there and no other.
    @Test(arguments: TestDevice.shapes) func aStoredBaseIsWrittenInPlace(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let storage = Storage("base", count: 40)
            let graph = Graph()
            let (x, rows) = (try graph.input("x", [3, 8]), try graph.input("rows", [3], .int32))
            try graph.place(graph.scatterRows(x, rows, over: graph.stored([5, 8], in: storage)), in: storage, at: 0)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))
            var want = (0..<40).map(Float.init)
            try executor.memory.write(want, to: storage)
            for (step, named) in ([[3, -1, 0], [4, 3, 5]] as [[Int32]]).enumerated() {
                let values = (0..<24).map { Float(100 * (step + 1) + $0) }
                for (i, row) in named.enumerated() where (0..<5).contains(row) {
                    want.replaceSubrange((8 * Int(row))..<(8 * Int(row) + 8), with: values[(8 * i)..<(8 * i + 8)])
                }
                try executor.write(values, to: x)
                try executor.write(named, to: rows)
                try executor.run()
                #expect(try executor.memory.read(Float.self, from: storage) == want)
            }
            #expect(try executor.damage().isEmpty)
        }
    }

    /// The base's memory is taken where nobody reads it later.
    @Test(arguments: TestDevice.shapes) func memoryOfTheBaseIsTaken(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (x, base) = (try graph.input("x", [2, 512]), try graph.input("base", [3, 512]))
            let rows = try graph.input("rows", [2], .int32)
            let y = try graph.clearRows(graph.scatterRows(x, rows, over: graph.scale(base, by: 2)), graph.slice(rows, axis: 0, 1..<2))
            graph.output(y)
            let executor = try DeviceMemory(device).executor(graph)
            #expect(executor.schedule.plan.arenaBytes < 2 * 3 * 512 * 4)
            try executor.write([Float](repeating: 5, count: 1024), to: x)
            try executor.write([Float](repeating: 3, count: 1536), to: base)
            try executor.write([2, 0] as [Int32], to: rows)
            try executor.run()
            let want = [0, 6, 5].flatMap { [Float](repeating: $0, count: 512) }
            #expect(try executor.read(y) == want)
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (x, rows) = (try graph.input("x", [5, 3]), try graph.input("rows", [4], .int32))
        let (labels, cube) = (try graph.input("labels", [5]), try graph.input("cube", [5, 3, 2]))
        #expect(throws: GraphError.self) { try graph.gatherRows(x, labels) }
        #expect(throws: GraphError.self) { try graph.gatherRows(cube, rows) }
        #expect(throws: GraphError.self) { try graph.scatterRows(x, rows, count: 9) }
        let four = try graph.input("four", [4, 3])
        #expect(throws: GraphError.self) { try graph.scatterRows(four, rows, count: 0) }
        #expect(throws: GraphError.self) { try graph.scatterRows(four, rows, over: graph.input("wide", [9, 4])) }
        #expect(throws: GraphError.self) { try graph.clearRows(x, labels) }
        #expect(try graph.scatterRows(four, rows, count: 2).shape == [2, 3])
    }
}
