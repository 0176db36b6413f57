import DriftGPU

/// QK-norm and RoPE, each alone and both.
enum QueryKeyCases: OperationCases {
    static let families = [OperationFamily("query_key", all)]

    private struct Size: Sendable {
        var batch: Int
        var rows: Int
        var columns: Int
        var heads: Int
        var size: Int
        var isNormed = true
        var isRotated = true
        var positions: Int { rows * columns }
    }

    private static let sizes: [Size] = [
        .init(batch: 2, rows: 2, columns: 3, heads: 2, size: 8),
        .init(batch: 3, rows: 4, columns: 4, heads: 3, size: 16, isRotated: false),
        .init(batch: 2, rows: 3, columns: 5, heads: 1, size: 20, isNormed: false),
        .init(batch: 1, rows: 1, columns: 7, heads: 2, size: 6),
        .init(batch: 1, rows: 2, columns: 2, heads: 1, size: 128),
    ]

    /// Every case.
    static let all = sizes.map { size in
        let epsilon = 1e-3
        let rotary = size.isRotated ? RotaryTable(rows: size.rows, columns: size.columns) : nil
        return OperationCase(
            name: "query_key \(size.batch) x \(size.rows) x \(size.columns), \(size.heads) heads of \(size.size)"
                + (size.isNormed ? ", norm" : "") + (size.isRotated ? ", rotation" : ""),
            inputs: [.init(shape: [size.batch, size.positions, 3 * size.heads * size.size])]
                + (size.isNormed ? [.init(shape: [2, size.size], values: .uniform(0.5, 2))] : []),
            build: { graph, x in
                [
                    try graph.queryKey(
                        x[0], heads: size.heads, norm: size.isNormed ? (x[1], Float(epsilon)) : nil, rotary: rotary)
                ]
            },
            reference: { x in
                let table = rotary?.values(size: size.size).map(Double.init)
                var y = x[0]
                for head in 0..<(y.count / size.size) where head / size.heads % 3 < 2 {
                    let columns = (head * size.size)..<((head + 1) * size.size)
                    if size.isNormed {
                        let mean = columns.reduce(0) { $0 + y[$1] * y[$1] } / Double(size.size)
                        for (i, column) in columns.enumerated() {
                            y[column] *= x[1][head / size.heads % 3 * size.size + i] / (mean + epsilon).squareRoot()
                        }
                    }
                    guard let table else { continue }
                    let position = head / (3 * size.heads) % size.positions
                    for pair in 0..<(size.size / 2) {
                        let (even, odd) = (columns.lowerBound + 2 * pair, columns.lowerBound + 2 * pair + 1)
                        let (c, s) = (table[position * size.size + 2 * pair], table[position * size.size + 2 * pair + 1])
                        (y[even], y[odd]) = (y[even] * c - y[odd] * s, y[odd] * c + y[even] * s)
                    }
                }
                return [y]
            })
    }
}
