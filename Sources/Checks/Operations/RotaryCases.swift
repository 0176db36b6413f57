import DriftGPU

/// RoPE by halves of a head, along a line and on a grid.
enum RotaryCases: OperationCases {
    static let families = [OperationFamily("rotary", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(2, 5, heads: 1, size: 2, RotaryPlaces(front: 0, grid: nil)),
        make(3, 7, heads: 2, size: 16, RotaryPlaces(front: 1, grid: .init(rows: 2, columns: 3))),
        make(1, 20, heads: 3, size: 12, RotaryPlaces(front: 4, grid: .init(rows: 4, columns: 4), base: 100)),
        make(2, 3, heads: 1, size: 128, RotaryPlaces(front: 0, grid: nil)),
        make(1, 9, heads: 2, size: 18, RotaryPlaces(front: 2, grid: .init(rows: 4, columns: 2))),
    ]

    private static func make(_ batch: Int, _ count: Int, heads: Int, size: Int, _ places: RotaryPlaces) -> OperationCase {
        OperationCase(
            name: "rotary \(batch) x \(count), \(heads) heads of \(size), " + (places.grid == nil ? "line" : "grid behind \(places.front)"),
            inputs: [.init(shape: [batch, count, heads * size])],
            build: { graph, x in
                [try graph.rotary(x[0], table: graph.rotaryTable(places, count: count, size: size), heads: heads)]
            },
            reference: { x in [turn(x[0], table: places.table(count: count, size: size).map(Double.init), count, heads, size)] })
    }

    /// Rows [..., count, heads size] with the pairs of each head turned by the row of `table` [count, size].
    static func turn(_ x: [Double], table: [Double], _ count: Int, _ heads: Int, _ size: Int) -> [Double] {
        x.indices.map { index in
            let (column, row) = (index % size, index / (heads * size) % count)
            let pair = column % (size / 2)
            let (c, s) = (table[row * size + pair], table[row * size + size / 2 + pair])
            return column < size / 2 ? x[index] * c - x[index + size / 2] * s : x[index] * c + x[index - size / 2] * s
        }
    }
}
