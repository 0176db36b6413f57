import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AccumulateTests {
    @Test(arguments: TestDevice.shapes, [1, 5, 64, 1037]) func addsUpAndBeginsAgain(_ shape: TeamShape, _ count: Int) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (x, restart) = (try graph.input("x", [count]), try graph.input("restart", [1]))
            let sum = try graph.input("sum", [count])
            try graph.accumulate(x, into: sum, factor: 0.25, restart: restart)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))
            // What was there before the first addition must not matter.
            try executor.write([Float](repeating: .nan, count: count), to: sum)
            var random = TestRandom(3)
            var want = [Double](repeating: 0, count: count)
            for begins in [true, false, false, true, false] {
                let values = (0..<count).map { _ in Float(random.normal()) }
                for i in 0..<count { want[i] = (begins ? 0 : want[i]) + 0.25 * Double(values[i]) }
                try executor.write(values, to: x)
                try executor.write([Float(begins ? 1 : 0)], to: restart)
                try executor.run()
                let got = try executor.read(sum)
                #expect(zip(got, want).allSatisfy { abs(Double($0) - $1) < 1e-6 })
            }
            #expect(try executor.damage().isEmpty)
        }
    }

    @Test func whatIsAddedFitsTheSum() throws {
        let graph = Graph()
        let (x, restart) = (try graph.input("x", [3]), try graph.input("restart", [1]))
        #expect(throws: GraphError.self) { try graph.accumulate(x, into: graph.input("sum", [4]), restart: restart) }
        #expect(throws: GraphError.self) { try graph.accumulate(x, into: graph.copy(x), restart: restart) }
    }
}
