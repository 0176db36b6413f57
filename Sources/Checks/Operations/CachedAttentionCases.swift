import DriftGPU
import Foundation

/// Attention of new rows over caches that hold others: other lengths for each sequence, shared heads, rows past the caches' end.
enum CachedAttentionCases: OperationCases {
    static let families = [
        OperationFamily("attention_cached", all, untimed: "a step of a drawing; bench sample times it with the rest"),
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
        var isTurned = true

        var places: RotaryPlaces { RotaryPlaces(front: 1, grid: .init(rows: capacity, columns: 3)) }
        /// Rows kept of a sequence before the new ones.
        func length(_ b: Int) -> Int { Int(known[b % known.count]) + offset }
    }

    /// Every size of a head, and of a group that shares one, is a program of its own in each shape: few of them.
    private static let sizes: [Size] = [
        .init(batch: 2, rows: 1, heads: 2, keyHeads: 1, size: 16, capacity: 5, known: [3, 0], offset: 1),
        .init(batch: 4, rows: 3, heads: 4, keyHeads: 2, size: 16, capacity: 20, known: [7, 2], offset: 2),
        .init(batch: 1, rows: 1, heads: 2, keyHeads: 2, size: 64, capacity: 130, known: [129]),
        .init(batch: 2, rows: 5, heads: 3, keyHeads: 1, size: 12, capacity: 9, known: [6, 2]),
        .init(batch: 1, rows: 2, heads: 1, keyHeads: 1, size: 128, capacity: 300, known: [200]),
        .init(batch: 2, rows: 16, heads: 2, keyHeads: 1, size: 16, capacity: 80, known: [0, 60], isTurned: false),
        .init(batch: 3, rows: 1, heads: 6, keyHeads: 2, size: 12, capacity: 70, known: [69], isTurned: false),
    ]

    /// Every case.
    static let all = sizes.map { size in
        let (query, key) = ([size.batch, size.rows, size.heads * size.size], [size.batch, size.rows, size.keyHeads * size.size])
        let cache = [size.batch, size.keyHeads, size.capacity, size.size]
        return OperationCase(
            name: "attention_cached \(size.batch) x \(size.rows) of \(size.capacity), \(size.heads) heads of \(size.size) over \(size.keyHeads)"
                + (size.isTurned ? ", turned" : ""),
            inputs: [query, key, key, cache, cache].map { .init(shape: $0, isDifferentiable: false) }
                + [.init(shape: [size.known.count], values: .integers(size.known), isDifferentiable: false)],
            build: { graph, x in
                let table = try size.isTurned ? graph.rotaryTable(size.places, count: size.capacity, size: size.size) : nil
                let out = try graph.cachedAttention(
                    query: x[0], key: x[1], value: x[2], heads: size.heads, cache: KeyValueCache(key: x[3], value: x[4]),
                    known: x[5], offset: size.offset, table: table)
                return [out, try graph.copy(x[3]), try graph.copy(x[4])]
            },
            reference: { reference(size, $0) })
    }

    private static func reference(_ size: Size, _ x: [[Double]]) -> [[Double]] {
        let table = size.places.table(count: size.capacity, size: size.size).map(Double.init)
        /// A head's columns from `start` on, turned by the angles of place `p`.
        func turned(_ x: [Double], _ start: Int, _ p: Int) -> [Double] {
            let row = Array(x[start..<(start + size.size)])
            guard size.isTurned else { return row }
            return RotaryCases.turn(row, table: Array(table[(p * size.size)..<((p + 1) * size.size)]), 1, 1, size.size)
        }
        func place(_ b: Int, _ h: Int, _ p: Int) -> Int { ((b * size.keyHeads + h) * size.capacity + p) * size.size }
        var (keys, values, out) = (x[3], x[4], x[0])
        for (b, g, h) in each(size.batch, size.rows, size.keyHeads) where size.length(b) + g < size.capacity {
            let (p, from) = (size.length(b) + g, ((b * size.rows + g) * size.keyHeads + h) * size.size)
            let at = place(b, h, p)
            keys.replaceSubrange(at..<(at + size.size), with: turned(x[1], from, p))
            values.replaceSubrange(at..<(at + size.size), with: x[2][from..<(from + size.size)])
        }
        for (b, g, h) in each(size.batch, size.rows, size.heads) {
            let (p, from) = (min(size.length(b) + g, size.capacity - 1), ((b * size.rows + g) * size.heads + h) * size.size)
            let (query, group) = (turned(x[0], from, p), h / (size.heads / size.keyHeads))
            let weights = (0...p).map { q -> Double in
                let at = place(b, group, q)
                return exp((0..<size.size).reduce(0) { $0 + query[$1] * keys[at + $1] } / Double(size.size).squareRoot())
            }
            let total = weights.reduce(0, +)
            for i in 0..<size.size {
                out[from + i] = weights.indices.reduce(0) { $0 + weights[$1] / total * values[place(b, group, $1) + i] }
            }
        }
        return [out, keys, values]
    }

    private static func each(_ a: Int, _ b: Int, _ c: Int) -> [(Int, Int, Int)] {
        (0..<(a * b * c)).map { ($0 / (b * c), $0 / c % b, $0 % c) }
    }
}
