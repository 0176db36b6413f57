import DriftGPU

/// Sums and means over rows, columns and everything.
enum ReduceCases: OperationCases {
    static let families = [OperationFamily("reduce", all)]

    /// Every case.
    static let all = [(1, 1), (10, 7), (3, 50), (70, 9), (1, 384), (600, 33), (200, 130), (2, 9001)].flatMap { rows, n in
        // Differences are taken of the small ones; the large ones are there for the sums in two launches.
        let inputs = [
            OperationCase.Input(shape: [rows, n], values: .uniform(-1, 2), isDifferentiable: rows * n < 1000)
        ]
        return [
            OperationCase(
                name: "column_sum \(rows) x \(n)", inputs: inputs, build: { graph, x in [try graph.columnSum(x[0])] },
                reference: { x in
                    [(0..<n).map { column in (0..<rows).reduce(0) { $0 + x[0][$1 * n + column] } }]
                }),
            OperationCase(
                name: "row_sum \(rows) x \(n)", inputs: inputs, build: { graph, x in [try graph.rowSum(x[0], factor: -2)] },
                reference: { x in
                    [(0..<rows).map { row in -2 * x[0][(row * n)..<((row + 1) * n)].reduce(0, +) }]
                }),
            OperationCase(
                name: "row_mean \(rows) x \(n)", inputs: inputs, build: { graph, x in [try graph.rowMean(x[0])] },
                reference: { x in
                    [(0..<rows).map { row in x[0][(row * n)..<((row + 1) * n)].reduce(0, +) / Double(n) }]
                }),
            OperationCase(
                name: "sum_all \(rows) x \(n)", inputs: inputs, build: { graph, x in [try graph.sum(x[0], factor: 0.5)] },
                reference: { x in [[x[0].reduce(0, +) / 2]] }),
            OperationCase(
                name: "mean \(rows) x \(n)", inputs: inputs, build: { graph, x in [try graph.mean(x[0])] },
                reference: { x in [[x[0].reduce(0, +) / Double(x[0].count)]] }),
        ]
    }
}
