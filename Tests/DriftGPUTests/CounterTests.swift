import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct CounterTests {
    /// Nodes see the counter as it is where they stand in the graph, and every graph of its name sees the same one.
    @Test(arguments: TestDevice.shapes) func countsRunsAndBeginsAgain(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let memory = DeviceMemory(device, guardBytes: 256)
            let (counting, beginning) = (Graph(), Graph())
            let counter = try Counter(counting, name: "counter")
            let table = try counting.constant("table", (0..<5).map(Float.init), [5, 1])
            let before = try counting.selectRow(table, counter)
            try counting.advance(counter)
            let after = try counting.selectRow(table, counter)
            counting.output(before)
            counting.output(after)
            try beginning.reset(Counter(beginning, name: "counter"))
            let (count, begin) = (try memory.executor(counting), try memory.executor(beginning))
            for _ in 0..<2 {
                for step in 0..<7 {
                    try count.run()
                    #expect(try count.read(before) == [Float(min(step, 4))])
                    #expect(try count.read(after) == [Float(min(step + 1, 4))])
                }
                #expect(try count.read(counter.value, as: UInt32.self) == [7])
                try begin.run()
                #expect(try count.read(counter.value, as: UInt32.self) == [0])
            }
            #expect(try count.damage().isEmpty)
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let counter = try Counter(graph, name: "counter")
        #expect(throws: GraphError.self) { try graph.selectRow(graph.input("vector", [5]), counter) }
        #expect(throws: GraphError.self) { try graph.selectRow(graph.input("table", [5, 2]), graph.input("x", [1])) }
    }
}
