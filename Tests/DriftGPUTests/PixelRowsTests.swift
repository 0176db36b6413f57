import TestSupport
import Testing

@testable import DriftGPU

@Suite struct PixelRowsTests {
    @Test("every byte gives the bits that it has on the host", arguments: TestDevice.shapes) func bits(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let bytes = try graph.input("bytes", [2, 256], .uint8)
            let pixels = try graph.pixelRows(bytes, graph.constant("rows", [Int32(1), 0], [2]))
            graph.output(pixels)
            let executor = try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            let values = (0..<512).map { UInt8(truncatingIfNeeded: $0 * 3 + $0 / 256) }
            try executor.write(values, to: bytes)
            try executor.run()
            #expect(try executor.read(pixels) == (values[256...] + values[..<256]).map { Float($0) / 127.5 - 1 })
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let rows = try graph.input("rows", [4], .int32)
        #expect(throws: GraphError.self) { try graph.pixelRows(graph.input("floats", [5, 3]), rows) }
        #expect(throws: GraphError.self) { try graph.pixelRows(graph.input("bytes", [15], .uint8), rows) }
        #expect(throws: GraphError.self) { try graph.gatherRows(graph.input("other", [5, 3], .uint8), rows) }
        #expect(throws: GraphError.self) { try graph.embedding(graph.input("table", [5, 3], .uint8), labels: rows) }
    }
}
