import DriftAR
import DriftGPU

/// The rings of features: their state after every addition.
enum MemoryBankGolden {
    static func memoryBank(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        let (classes, capacity) = (try golden.integer("classes"), try golden.integer("max_size"))
        let additions = golden.tensors.filter { $0.role == "in" && $0.name.hasPrefix("samples") }.count
        let memory = DeviceMemory(device)
        for step in 0..<additions {
            let graph = Graph()
            let (values, owners) = (try golden.input("samples\(step)"), try golden.input("labels\(step)", rank: 1))
            let entry = Array(values.shape.dropFirst())
            let bank = try MemoryBank(graph, name: "bank", classes: classes, capacity: capacity, entry: entry)
            let samples = try graph.input("samples\(step)", values.shape)
            let labels = try graph.input("labels\(step)", owners.shape, .int32)
            try graph.add(samples, labels: labels, to: bank)
            let executor = try memory.executor(graph)
            try executor.write(values.floats ?? [], to: samples)
            try executor.write(owners.ints ?? [], to: labels)
            try executor.run()
            let counts = try executor.read(bank.count, as: Int32.self)
            try comparison.check("out", "bank\(step)", executor.read(bank.entries))
            try comparison.check("out", "ptr\(step)", integers: executor.read(bank.position, as: Int32.self))
            try comparison.check("out", "count\(step)", integers: counts)
            try comparison.check("out", "total\(step)", integers: [counts.reduce(0, +)])
            let levels = golden.has("out", "ready\(step)") ? try golden.about("out", "ready\(step)").shape[0] : 0
            try comparison.check(
                "out", "ready\(step)",
                integers: (0..<Int32(levels)).map { level in counts.allSatisfy { $0 > level } ? 1 : 0 })
        }
    }
}
