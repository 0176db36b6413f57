import DriftGPU

extension KernelBenchmark {
    /// Times gathers and slices of many rows with their gradients, at sizes that no model's training step has: `rows` rows of
    /// `width` picked from a table of as many, the middle half of a tensor along its first axis, and half of the rows by index,
    /// gathered, put on zeros, and put over others; and half of as many images of bytes. And the noise of as many images, and a row
    /// that a counter picks.
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
        let half = try graph.input("half", [rows / 2], .int32)
        let taken = try graph.gatherRows(table, half)
        let replaced = try graph.scatterRows(graph.input("replacement", [rows / 2, width]), half, over: table)
        for (index, result) in [gathered, middle, taken, replaced].enumerated() {
            graph.output(result)
            let seed = try graph.input("seed \(index)", result.shape)
            try graph.gradients(of: [(result, seed)], withRespectTo: [table]).compactMap { $0 }.forEach(graph.output)
        }
        graph.output(try graph.pixelRows(graph.input("bytes", [rows, width], .uint8), half))
        let key = try graph.input("key", [2], .uint32)
        let counter = try Counter(graph, name: "counter")
        let source = NoiseSource(stream: 0, key: key, labels: labels, firstImage: counter.value, round: counter.value)
        graph.output(try graph.randomNormal([width], images: 1, of: source))
        graph.output(try graph.selectRow(table, counter))
        let executor = try Executor(
            Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
        // Every row once, far from the one before it.
        try executor.write((0..<rows).map { Int32($0 * 1001 % rows) }, to: labels)
        try executor.write((0..<(rows / 2)).map { Int32($0 * 1001 % rows) }, to: half)
        try executor.run()
        self.init(
            size: "rows",
            cases: try Self.time(executor, peaks: peaks, repetitions: repetitions, filter: filter, progress: progress))
    }
}
