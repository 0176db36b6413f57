import TestSupport
import Testing

@testable import DriftGPU

/// Graphs that share a memory compute in one block of it.
@Suite struct WorkspaceTests {
    private struct Doubling {
        let x: Tensor
        let y: Tensor
        let executor: Executor

        /// y = 2 gelu(x) - x, with memory for values in between; x has a storage that grows.
        init(_ count: Int, _ memory: DeviceMemory, options: Schedule.Options = Schedule.Options()) throws {
            let graph = Graph()
            x = try graph.input("x", [count], grows: true)
            let inner = try graph.scale(graph.gelu(x), by: 2)
            y = try graph.add(inner, graph.scale(x, by: -1))
            graph.output(y)
            executor = try memory.executor(graph, options: options)
        }

        func callAsFunction(_ value: Float) throws -> [Float] {
            try executor.write([Float](repeating: value, count: x.count), to: x)
            try executor.run()
            return try executor.read(y)
        }
    }

    private func with(_ body: (Device, DeviceMemory) throws -> Void) throws {
        try TestDevice.with(#require(TestDevice.shapes.first)) { device in
            let limit = device.allocationLimit
            defer { device.allocationLimit = limit }
            try body(device, DeviceMemory(device))
        }
    }

    @Test("fifty batch sizes take what the largest takes")
    func fiftySizes() throws {
        try with { device, memory in
            let before = device.allocatedBytes
            func bytes(_ sizes: [Int]) throws -> Int {
                let memory = DeviceMemory(device)
                let graphs = try sizes.map { try Doubling($0, memory) }
                for (index, graph) in graphs.enumerated() {
                    #expect(try graph(Float(index)).count == graph.x.count)
                }
                return device.allocatedBytes - before
            }
            var random = TestRandom(3)
            let sizes = (1...50).map { $0 * 100 }
            let largest = try bytes([5000])
            #expect(try bytes(sizes) == largest)
            #expect(try bytes(sizes.reversed()) == largest)
            #expect(try bytes(sizes.shuffled(using: &random)) == largest)
            #expect(device.allocatedBytes == before)
        }
    }

    @Test("graphs bound before the block and a storage were replaced compute as before")
    func growth() throws {
        try with { device, memory in
            let small = try Doubling(10, memory)
            let expected = try small(0.5)
            #expect(Set(expected).count == 1)
            let large = try Doubling(100_000, memory)
            #expect(try large(0.5) == [Float](repeating: expected[0], count: 100_000))
            #expect(try small(0.5) == expected)
            #expect(try large(0.5).last == expected[0])
        }
    }

    @Test("a storage that grows keeps what it holds")
    func storage() throws {
        for guardBytes in [0, 256] {
            try with { device, _ in
                let memory = DeviceMemory(device, guardBytes: guardBytes)
                func storage(_ count: Int, grows: Bool = true) -> Storage { Storage("x", count: count, grows: grows) }
                try memory.write([Float(1), 2, 3], to: storage(3))
                #expect(memory.contains(storage(2)) && !memory.contains(storage(4)))
                #expect(try memory.read(Float.self, from: storage(5)) == [1, 2, 3, 0, 0])
                #expect(try memory.read(Float.self, from: storage(2)) == [1, 2])
                #expect(memory.contains(storage(4)) && !memory.contains(storage(5, grows: false)))
                #expect(throws: GraphError.self) { try memory.reserve(storage(5, grows: false)) }
                #expect(throws: GraphError.self) { try memory.reserve(Storage("x", count: 5, element: .int32, grows: true)) }
                #expect(throws: GraphError.self) { try memory.read(Float.self, from: storage(2), at: 1, count: 2) }
                #expect(try memory.damagedStorages().isEmpty)
            }
        }
    }

    @Test("outputs are read before another graph runs, or not at all")
    func overwritten() throws {
        try with { device, memory in
            let (one, other) = (try Doubling(10, memory), try Doubling(20, memory))
            #expect(throws: GraphError.self) { try one.executor.read(one.y) }
            let expected = try one(1)
            #expect(try one.executor.read(one.y) == expected)
            _ = try other(2)
            let error = #expect(throws: GraphError.self) { try one.executor.read(one.y) }
            #expect(error?.description.contains("another graph has run") == true)
            // What is stored is there for all.
            #expect(try one.executor.read(one.x) == [Float](repeating: 2, count: 10))
            #expect(try one(1) == expected)
            #expect(throws: GraphError.self) { try other.executor.read(other.y) }
            // A graph that needs more replaces the block as soon as it is bound.
            let larger = try Doubling(100_000, memory)
            #expect(throws: GraphError.self) { try one.executor.read(one.y) }
            _ = try larger(3)
            // A graph on other memory takes nothing away.
            let expectedLarge = try larger.executor.read(larger.y)
            _ = try Doubling(10, DeviceMemory(device))(1)
            #expect(try larger.executor.read(larger.y) == expectedLarge)
        }
    }

    @Test("a graph that does not fit leaves the others able to run")
    func refused() throws {
        try with { device, memory in
            let small = try Doubling(10, memory)
            let expected = try small(1)
            device.allocationLimit = 1 << 16
            #expect(throws: DeviceError.self) { try Doubling(1 << 20, memory) }
            #expect(try small(1) == expected)
        }
    }

    @Test("a graph with guards computes alone")
    func guards() throws {
        try with { device, memory in
            var options = Schedule.Options()
            options.guardBytes = 256
            let (guarded, other) = (try Doubling(10, memory, options: options), try Doubling(1000, memory))
            let expected = try guarded(1)
            _ = try other(2)
            #expect(try guarded.executor.read(guarded.y) == expected)
            #expect(try guarded.executor.damage().isEmpty)
        }
    }
}
