import DriftGPU
import Foundation

/// Entropy of new rows over caches: rows without columns, shared heads, more places than a team has items, sharp attention, and
/// attention that lies on the buffer.
enum CachedEntropyCases: OperationCases {
    static let families = [
        OperationFamily("entropy_cached", all, untimed: "a step of a drawing; bench sample times it with the rest"),
    ]

    private struct Size: Sendable {
        var batch: Int
        var rows: Int
        var heads: Int
        var keyHeads: Int
        var size: Int
        var capacity: Int
        var known: [Int32]
        var offset = 0
        var buffer = 0
        var isTurned = true
        /// Deviation of queries and keys.
        var spread = 1.0

        var places: RotaryPlaces { RotaryPlaces(front: 1, grid: .init(rows: capacity, columns: 3)) }
        func place(_ b: Int, _ g: Int) -> Int { min(Int(known[b % known.count]) + offset + g, capacity - 1) }
    }

    /// Heads of the sizes that the cases of attention_cached have.
    private static let sizes: [Size] = [
        .init(batch: 2, rows: 1, heads: 2, keyHeads: 1, size: 16, capacity: 5, known: [3, 0], offset: 1, buffer: 1),
        .init(batch: 4, rows: 3, heads: 4, keyHeads: 2, size: 16, capacity: 20, known: [7, 2], offset: 2, buffer: 3),
        .init(batch: 1, rows: 1, heads: 2, keyHeads: 2, size: 64, capacity: 130, known: [129], spread: 0.3),
        .init(batch: 2, rows: 5, heads: 3, keyHeads: 1, size: 12, capacity: 9, known: [6, 2], buffer: 2),
        .init(batch: 1, rows: 2, heads: 1, keyHeads: 1, size: 128, capacity: 300, known: [200], buffer: 1, spread: 0.5),
        .init(batch: 2, rows: 16, heads: 2, keyHeads: 1, size: 16, capacity: 80, known: [0, 60], buffer: 2, isTurned: false),
        .init(batch: 1, rows: 4, heads: 2, keyHeads: 1, size: 16, capacity: 40, known: [20], buffer: 20, isTurned: false, spread: 4),
    ]

    /// Every case.
    static let all = sizes.map { size in
        OperationCase(
            name: "entropy_cached \(size.batch) x \(size.rows) of \(size.capacity), \(size.heads) heads of \(size.size) over \(size.keyHeads), buffer \(size.buffer)"
                + (size.isTurned ? ", turned" : ""),
            inputs: [[size.batch, size.rows, size.heads * size.size], [size.batch, size.keyHeads, size.capacity, size.size]].map {
                .init(shape: $0, values: .normal(size.spread), isDifferentiable: false)
            } + [.init(shape: [size.known.count], values: .integers(size.known), isDifferentiable: false)],
            build: { graph, x in
                let table = try size.isTurned ? graph.rotaryTable(size.places, count: size.capacity, size: size.size) : nil
                return [
                    try graph.cachedEntropy(
                        query: x[0], heads: size.heads, keys: x[1], known: x[2], offset: size.offset, buffer: size.buffer, table: table)
                ]
            },
            reference: { [reference(size, $0)] })
    }

    private static func reference(_ size: Size, _ x: [[Double]]) -> [Double] {
        let table = size.places.table(count: size.capacity, size: size.size).map(Double.init)
        let floor = 1e-8
        return (0..<(size.batch * size.rows)).map { row in
            let (b, g) = (row / size.rows, row % size.rows)
            let p = size.place(b, g)
            let count = p + 1 - size.buffer
            guard count > 1 else { return 1 }
            var mean = [Double](repeating: 0, count: count)
            for h in 0..<size.heads {
                let start = (row * size.heads + h) * size.size
                var query = Array(x[0][start..<(start + size.size)])
                if size.isTurned {
                    query = RotaryCases.turn(query, table: Array(table[(p * size.size)..<((p + 1) * size.size)]), 1, 1, size.size)
                }
                let group = b * size.keyHeads + h / (size.heads / size.keyHeads)
                let scores = (0...p).map { place -> Double in
                    let at = (group * size.capacity + place) * size.size
                    return (0..<size.size).reduce(0) { $0 + query[$1] * x[1][at + $1] } / Double(size.size).squareRoot()
                }
                let top = scores.max() ?? 0
                let weights = scores.map { exp($0 - top) }
                let total = weights.reduce(0, +)
                let own = weights.dropFirst(size.buffer).map { $0 / total }
                let divisor = max(own.reduce(0, +), floor)
                for (column, weight) in own.enumerated() { mean[column] += weight / divisor / Double(size.heads) }
            }
            let sum = mean.map { max($0, floor) }.reduce(0) { $0 - $1 * log($1) } - Double(size.capacity - 1 - p) * floor * log(floor)
            return min(max(sum / log(Double(count)), 0), 1)
        }
    }
}
