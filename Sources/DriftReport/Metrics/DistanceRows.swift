import Dispatch

/// Rows of floats packed for Euclidean distances: each padded with zeros to whole vectors.
struct DistanceRows: Sendable {
    typealias Lanes = SIMD8<Float>

    let count: Int
    private let vectors: Int
    /// [count, vectors].
    private let rows: [Lanes]

    init(_ values: [Float], rowLength: Int) {
        let count = rowLength == 0 ? 0 : values.count / rowLength
        let vectors = (rowLength + Lanes.scalarCount - 1) / Lanes.scalarCount
        var rows = [Lanes](repeating: .zero, count: count * vectors)
        let width = vectors * Lanes.scalarCount
        rows.withUnsafeMutableBufferPointer { rows in
            rows.withMemoryRebound(to: Float.self) { target in
                values.withUnsafeBufferPointer { source in
                    for row in 0..<count {
                        for i in 0..<rowLength { target[row * width + i] = source[row * rowLength + i] }
                    }
                }
            }
        }
        (self.count, self.vectors, self.rows) = (count, vectors, rows)
    }

    /// The nearest of the other rows to a row; no row where the distances are not numbers.
    struct Nearest: Sendable {
        var row: Int?
        var squared: Float
    }

    /// For each row its nearest among `others`, the first where several are equally near.
    ///
    /// 3 M N K operations. Threads take blocks of rows; within one, a tile of `others` that fits the second-level cache
    /// meets all rows of the block, four at a time, so that a loaded vector serves four distances.
    func nearest(in others: DistanceRows) -> [Nearest] {
        let block = 32
        let tile = max(1, 128 * 1024 / (max(vectors, 1) * MemoryLayout<Lanes>.size))
        var result = [Nearest](repeating: Nearest(row: nil, squared: .infinity), count: count)
        result.withUnsafeMutableBufferPointer { buffer in
            let results = SharedBuffer(buffer)
            DispatchQueue.concurrentPerform(iterations: (count + block - 1) / block) { task in
                let range = task * block..<min((task + 1) * block, count)
                rows.withUnsafeBufferPointer { own in
                    others.rows.withUnsafeBufferPointer { other in
                        for start in stride(from: 0, to: others.count, by: tile) {
                            let stop = min(start + tile, others.count)
                            for row in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
                                let live = min(4, range.upperBound - row)
                                Self.scan(own, row, live, other, start..<stop, vectors: vectors, results.buffer)
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    private static func scan(
        _ rows: UnsafeBufferPointer<Lanes>, _ row: Int, _ live: Int, _ others: UnsafeBufferPointer<Lanes>, _ range: Range<Int>,
        vectors: Int, _ result: UnsafeMutableBufferPointer<Nearest>
    ) {
        guard vectors > 0, let rows = rows.baseAddress, let others = others.baseAddress else { return }
        // Missing rows of the last quad repeat its first: computed and dropped.
        let q0 = rows + row * vectors
        let q1 = rows + (row + (live > 1 ? 1 : 0)) * vectors
        let q2 = rows + (row + (live > 2 ? 2 : 0)) * vectors
        let q3 = rows + (row + (live > 3 ? 3 : 0)) * vectors
        for other in range {
            let r = others + other * vectors
            var (a0, a1, a2, a3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
            for k in 0..<vectors {
                let v = r[k]
                let (d0, d1, d2, d3) = (q0[k] - v, q1[k] - v, q2[k] - v, q3[k] - v)
                a0 += d0 * d0
                a1 += d1 * d1
                a2 += d2 * d2
                a3 += d3 * d3
            }
            let squared = SIMD4(a0.sum(), a1.sum(), a2.sum(), a3.sum())
            for i in 0..<live where squared[i] < result[row + i].squared {
                result[row + i] = Nearest(row: other, squared: squared[i])
            }
        }
    }

    /// Mean Euclidean distance over all pairs of the rows named; nil for fewer than two.
    func meanPairDistance(_ indices: [Int]) -> Double? {
        guard indices.count >= 2 else { return nil }
        var sums = [Double](repeating: 0, count: indices.count)
        sums.withUnsafeMutableBufferPointer { buffer in
            let sums = SharedBuffer(buffer)
            DispatchQueue.concurrentPerform(iterations: indices.count) { i in
                rows.withUnsafeBufferPointer { rows in
                    var sum = 0.0
                    for j in 0..<i {
                        let (a, b) = (indices[i] * vectors, indices[j] * vectors)
                        var total = Lanes.zero
                        for k in 0..<vectors {
                            let d = rows[a + k] - rows[b + k]
                            total += d * d
                        }
                        sum += Double(total.sum()).squareRoot()
                    }
                    sums.buffer[i] = sum
                }
            }
        }
        // Summed in the order of the rows, whichever thread was first: the same bits every time.
        return sums.reduce(0, +) / Double(indices.count * (indices.count - 1) / 2)
    }
}

/// A buffer that threads share. The compiler cannot see that they may: whoever takes it has to see to it that each element is
/// written by one thread alone, and read by others only after all have ended.
package struct SharedBuffer<Element>: @unchecked Sendable {
    package let buffer: UnsafeMutableBufferPointer<Element>

    package init(_ buffer: UnsafeMutableBufferPointer<Element>) {
        self.buffer = buffer
    }
}
