import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AccumulateTests {
    @Test(arguments: TestDevice.shapes, [1, 5, 64, 1037]) func addsUpAndBeginsAgain(_ shape: TeamShape, _ count: Int) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (x, restart) = (try graph.input("x", [count]), try graph.input("restart", [1]))
            let sum = try graph.input("sum", [count])
            try graph.accumulate(x, into: sum, restart: restart)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))
            // What was there before the first addition must not matter.
            try executor.write([Float](repeating: .nan, count: count), to: sum)
            var random = TestRandom(3)
            var want = [Double](repeating: 0, count: count)
            for begins in [true, false, false, true, false] {
                let values = (0..<count).map { _ in Float(random.normal()) }
                for i in 0..<count { want[i] = (begins ? 0 : want[i]) + Double(values[i]) }
                try executor.write(values, to: x)
                try executor.write([Float(begins ? 1 : 0)], to: restart)
                try executor.run()
                let got = try executor.read(sum)
                #expect(zip(got, want).allSatisfy { abs(Double($0) - $1) < 1e-6 })
            }
            #expect(try executor.damage().isEmpty)
        }
    }

    /// The mean of N parts has the bits of N numbers added in their order, by anybody, and multiplied once. Where 1 / N is a
    /// power of two these are also the bits of N parts that are each multiplied before they are added.
    @Test(arguments: TestDevice.shapes, [2, 3, 4, 5]) func aMeanIsASumMultipliedOnce(_ shape: TeamShape, _ parts: Int) throws {
        try TestDevice.with(shape) { device in
            let count = 1037
            let share = 1 / Float(parts)
            let (adding, ending) = (Graph(), Graph())
            let (x, restart) = (try adding.input("x", [count]), try adding.input("restart", [1]))
            try adding.accumulate(x, into: adding.input("sum", [count]), restart: restart)
            let sum = Storage("sum", count: count)
            try ending.place(ending.scale(ending.stored([count], in: sum), by: share), in: sum, at: 0)
            let memory = DeviceMemory(device)
            let (add, end) = (
                try Executor(Schedule(adding, traits: device.traits, gemm: device.gemm), memory: memory),
                try Executor(Schedule(ending, traits: device.traits, gemm: device.gemm), memory: memory)
            )
            var random = TestRandom(UInt64(parts))
            let values = (0..<parts).map { _ in (0..<count).map { _ in Float(random.normal()) } }
            for (part, list) in values.enumerated() {
                try add.write(list, to: x)
                try add.write([Float(part == 0 ? 1 : 0)], to: restart)
                try add.run()
            }
            try end.run()
            let got = try memory.read(Float.self, from: sum)
            let once = (0..<count).map { i in values.reduce(Float(0)) { $0 + $1[i] } * share }
            #expect(got == once)
            let each = (0..<count).map { i in values.reduce(Float(0)) { ($1[i] * share).addingProduct($0, 1) } }
            #expect((got == each) == (parts & (parts - 1) == 0))
        }
    }

    @Test func whatIsAddedFitsTheSum() throws {
        let graph = Graph()
        let (x, restart) = (try graph.input("x", [3]), try graph.input("restart", [1]))
        #expect(throws: GraphError.self) { try graph.accumulate(x, into: graph.input("sum", [4]), restart: restart) }
        #expect(throws: GraphError.self) { try graph.accumulate(x, into: graph.copy(x), restart: restart) }
    }
}
