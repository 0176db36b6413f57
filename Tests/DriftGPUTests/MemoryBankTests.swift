import TestSupport
import Testing

@testable import DriftGPU

@Suite struct MemoryBankTests {
    static let size = 7
    static let classes = 4
    static let capacity = 3

    /// Batches of labels: classes that wrap, several entries of a class in one batch, labels out of range.
    static let batches: [[Int32]] = [[3, 3, 3, 3, 1], [-1, 1, 3, 4, 0], [0, 0, 0, 0, 2], [2, 2, 2, 2, 2]]

    @Test(arguments: TestDevice.shapes) func addsOneByOne(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let bank = try MemoryBank(
                graph, name: "bank", classes: Self.classes, capacity: Self.capacity, entry: [Self.size])
            let samples = try graph.input("samples", [5, Self.size])
            let labels = try graph.input("labels", [5], .int32)
            try graph.add(samples, labels: labels, to: bank)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))
            var entries = [Float](repeating: 0, count: Self.classes * Self.capacity * Self.size)
            var position = [Int32](repeating: 0, count: Self.classes)
            var count = position
            var random = TestRandom(5)
            for batch in Self.batches {
                let values = (0..<(5 * Self.size)).map { _ in Float(random.normal()) }
                for (row, label) in batch.enumerated() where (0..<Self.classes).contains(Int(label)) {
                    let c = Int(label)
                    let start = (c * Self.capacity + Int(position[c])) * Self.size
                    entries.replaceSubrange(
                        start..<(start + Self.size), with: values[(row * Self.size)..<((row + 1) * Self.size)])
                    position[c] = (position[c] + 1) % Int32(Self.capacity)
                    count[c] = min(count[c] + 1, Int32(Self.capacity))
                }
                try executor.write(values, to: samples)
                try executor.write(batch, to: labels)
                try executor.run()
                #expect(try executor.read(bank.entries) == entries)
                #expect(try executor.read(bank.position, as: Int32.self) == position)
                #expect(try executor.read(bank.count, as: Int32.self) == count)
            }
            #expect(try executor.damage().isEmpty)
        }
    }

    @Test("counts and positions that nobody can have written touch nothing outside of the bank", arguments: TestDevice.shapes)
    func damaged(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let bank = try MemoryBank(graph, name: "bank", classes: 2, capacity: Self.capacity, entry: [Self.size])
            let samples = try graph.input("samples", [2, Self.size])
            let labels = try graph.input("labels", [2], .int32)
            let clock = try graph.input("clock", [4], .uint32)
            let drawn = try graph.draw(5, labels: labels, from: bank, clock: clock)
            graph.output(drawn)
            try graph.add(samples, labels: labels, to: bank)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))
            try executor.write([Int32](arrayLiteral: 1 << 30, -7), to: bank.count)
            try executor.write([Int32](arrayLiteral: -5, .max), to: bank.position)
            try executor.write([Float](repeating: 3, count: 2 * Self.size), to: samples)
            try executor.write([Int32](arrayLiteral: 0, 1), to: labels)
            try executor.write([UInt32](arrayLiteral: 1, 2, 3, 4), to: clock)
            try executor.run()
            #expect(try executor.damage().isEmpty)
            #expect(try executor.read(drawn).allSatisfy { $0 == 0 })
            let count = try executor.read(bank.count, as: Int32.self)
            #expect(count == [Int32(Self.capacity), 1])
            #expect(try executor.read(bank.entries).count { $0 == 3 } == 2 * Self.size)
        }
    }

    @Test(arguments: TestDevice.shapes) func drawsWhatTheClassHolds(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let (classes, capacity, draws) = (3, 20, 8)
            let requested: [Int32] = [0, 1, 2, -1, 3, 0]
            let graph = Graph()
            let bank = try MemoryBank(graph, name: "bank", classes: classes, capacity: capacity, entry: [Self.size])
            let clock = try graph.input("clock", [4], .uint32)
            let labels = try graph.input("labels", [6], .int32)
            let drawn = try graph.draw(draws, labels: labels, from: bank, clock: clock)
            graph.output(drawn)
            var options = Schedule.Options()
            (options.guardBytes, options.reuse) = (256, false)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm, options: options),
                memory: DeviceMemory(device, guardBytes: 256))
            // Every entry says which class and slot it is.
            let entries = (0..<(classes * capacity)).flatMap { [Float](repeating: Float($0 + 1), count: Self.size) }
            try executor.write(entries, to: bank.entries)
            try executor.write([20, 0, 3] as [Int32], to: bank.count)
            try executor.write(requested, to: labels)
            var seen: Set<Int> = []
            for step in 0..<30 {
                try executor.write([1, 2, UInt32(step), 0], to: clock)
                try executor.run()
                let values = try executor.read(drawn)
                for (row, label) in requested.enumerated() {
                    let picked = (0..<draws).map { Int(values[(row * draws + $0) * Self.size]) }
                    switch label {
                    case 0:
                        #expect(Set(picked).count == draws && picked.allSatisfy { (1...20).contains($0) })
                        seen.formUnion(picked)
                    case 2: #expect(picked.allSatisfy { (41...43).contains($0) })
                    default: #expect(picked.allSatisfy { $0 == 0 })
                    }
                }
            }
            #expect(seen.count == 20)
            #expect(try executor.damage().isEmpty)
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let bank = try MemoryBank(graph, name: "bank", classes: 2, capacity: 3, entry: [4])
        let (samples, labels) = (try graph.input("samples", [5, 3]), try graph.input("labels", [5], .int32))
        #expect(throws: GraphError.self) { try graph.add(samples, labels: labels, to: bank) }
        #expect(throws: GraphError.self) { try MemoryBank(graph, name: "b", classes: 0, capacity: 3, entry: [4]) }
    }
}
