import TestSupport
import Testing

@testable import DriftGPU

@Suite struct PoolTests {
    /// A broken image must not look like a whole one.
    @Test(arguments: TestDevice.shapes) func keepsNaN(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            for position in 0..<4 {
                let graph = Graph()
                let x = try graph.input("x", [1, 2, 2, 1])
                let results = [try graph.maxPool(x, window: 2, stride: 1), try graph.relu(x)]
                results.forEach(graph.output)
                let executor = try Executor(
                    Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
                try executor.write((0..<4).map { $0 == position ? .nan : Float($0) }, to: x)
                try executor.run()
                #expect(try executor.read(results[0])[0].isNaN)
                #expect(try executor.read(results[1])[position].isNaN)
            }
        }
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, flat) = (try graph.input("x", [1, 4, 4, 3]), try graph.input("flat", [4, 4]))
        #expect(throws: GraphError.self) { try graph.maxPool(flat, window: 2, stride: 1) }
        #expect(throws: GraphError.self) { try graph.maxPool(x, window: 5, stride: 1) }
        #expect(throws: GraphError.self) { try graph.meanPool(x, window: 3, stride: 0) }
        #expect(throws: GraphError.self) { try graph.meanPool(x, window: 3, stride: 1, padding: 2) }
        #expect(throws: GraphError.self) { try graph.meanPool(x, window: 3, stride: 1, padding: -1) }
    }
}
