import TestSupport
import Testing

@testable import DriftGPU

@Suite struct InputBlockTests {
    @Test("inputs of several types go to the device in one transfer")
    func oneTransfer() throws {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let graph = Graph()
            let table = try graph.input("table", [4, 3])
            let labels = try graph.input([3], .int32, block: "block")
            let factor = try graph.input([1], block: "block")
            let unused = try graph.input([5], .uint32, block: "block")
            let rows = try graph.scale(graph.embedding(table, labels: labels), by: factor)
            graph.output(rows)
            let memory = DeviceMemory(device)
            let executor = try memory.executor(graph)
            try executor.write((0..<12).map { Float($0) }, to: table)
            var block = graph.inputBlock("block")
            // Each begins at a multiple of 16 bytes.
            #expect(block.storage.count == 4 + 4 + 8 && executor.schedule.storages["block"] == block.storage)
            for (chosen, scale) in [([3, 0, 1] as [Int32], Float(2)), ([2, 2, 3], -1)] {
                try block.set(chosen, labels)
                try block.set([scale], factor)
                try device.finish()
                try block.write(to: memory)
                #expect(device.stagedBytes < 2 * (64 + 128), "one transfer")
                try executor.run()
                #expect(try executor.read(rows) == chosen.flatMap { row in (0..<3).map { scale * Float(Int(row) * 3 + $0) } })
                #expect(try executor.read(labels, as: Int32.self) == chosen)
            }
            // What was never set.
            #expect(try executor.read(unused, as: UInt32.self) == [0, 0, 0, 0, 0])
            // One alone can be written, too.
            try executor.write([Float(3)], to: factor)
            try executor.run()
            #expect(try executor.read(rows).prefix(3) == [18, 21, 24])
        }
    }

    @Test func whatDoesNotFitIsAnError() throws {
        let graph = Graph()
        let (x, other) = (try graph.input([3], block: "block"), try graph.input("x", [3]))
        var block = graph.inputBlock("block")
        #expect(throws: GraphError.self) { try block.set([Float(1)], x) }
        #expect(throws: GraphError.self) { try block.set([1.0, 2.0, 3.0], x) }
        #expect(throws: GraphError.self) { try block.set([Float(1), 2, 3], other) }
        #expect(throws: GraphError.self) { try graph.input([3], .float16, block: "block") }
        try block.set([Float(1), 2, 3], x)
    }
}
