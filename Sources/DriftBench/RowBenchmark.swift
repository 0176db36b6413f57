import DriftGPU

extension KernelBenchmark {
    /// Times gathers and slices of many rows with their gradients, at sizes that no model's training step has: `rows` rows of
    /// `width` picked from a table of as many, and the middle half of a tensor along its first axis.
    ///
    /// - Parameters:
    ///   - filter: part of the names of the cases to time.
    ///   - progress: is told each case as it is done.
    public init(
        rows: Int, width: Int, device: Device, peaks: Peaks, repetitions: Int, filter: String = "", progress: (Case) throws -> Void
    ) throws {
        let graph = Graph()
        let table = try graph.input("table", [rows, width])
        let labels = try graph.input("labels", [rows], .int32)
        let gathered = try graph.embedding(table, labels: labels)
        let middle = try graph.slice(table, axis: 0, (rows / 4)..<(rows - rows / 4))
        for result in [gathered, middle] {
            graph.output(result)
            let seed = try graph.input("seed of \(result.shape[0]) rows", result.shape)
            try graph.gradients(of: [(result, seed)], withRespectTo: [table]).compactMap { $0 }.forEach(graph.output)
        }
        let executor = try Executor(
            Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
        // Every row once, far from the one before it.
        try executor.write((0..<rows).map { Int32($0 * 1001 % rows) }, to: labels)
        try executor.run()
        self.init(
            size: "rows",
            cases: try Self.time(executor, peaks: peaks, repetitions: repetitions, filter: filter, progress: progress))
    }
}
