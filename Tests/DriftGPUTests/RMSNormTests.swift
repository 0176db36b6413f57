import TestSupport
import Testing

@testable import DriftGPU

@Suite struct RMSNormTests {
    @Test func zerosStay() throws {
        try TestDevice.with(.cpu16) { device in
            let graph = Graph()
            let x = try graph.input("x", [2, 5])
            let y = try graph.unitRows(x)
            graph.output(y)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            try executor.write([0, 0, 0, 0, 0, 3, 0, 0, 4, 0] as [Float], to: x)
            try executor.run()
            #expect(try executor.read(y).map { ($0 * 10).rounded() } == [0, 0, 0, 0, 0, 6, 0, 0, 8, 0])
        }
    }

    @Test func epsilonMustNotBeNegative() throws {
        let graph = Graph()
        let x = try graph.input("x", [2, 5])
        #expect(throws: GraphError.self) { try graph.rmsNorm(x, epsilon: -1) }
    }
}
