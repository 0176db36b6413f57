import Dispatch

/// A matrix whose values can be had in double precision, rectangle by rectangle: however it is stored, a product takes no
/// more memory than its tiles.
protocol MatrixRows: Sendable {
    var rowCount: Int { get }
    var columnCount: Int { get }
    /// Writes the rectangle to `target`, row r of it from `target[r * stride]` on.
    func copy(rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int)
}

/// A square of a product A B^T.
struct ProductTile {
    let rows: Range<Int>
    let columns: Range<Int>
    private let values: UnsafePointer<Double>

    fileprivate init(rows: Range<Int>, columns: Range<Int>, values: UnsafePointer<Double>) {
        self.rows = rows
        self.columns = columns
        self.values = values
    }

    /// The element of that row and column of the whole product.
    subscript(row: Int, column: Int) -> Double {
        values[(row - rows.lowerBound) * RowProducts.tile + column - columns.lowerBound]
    }
}

/// Inner products of all rows of one matrix with all rows of another, in double precision.
///
/// 2 M N K operations on all cores. A thread takes a band of rows and meets its tiles from left to right, and every sum has
/// one order, so the same input gives the same bits on any number of cores.
enum RowProducts {
    /// Rows and columns of a tile; rows of a band.
    static let tile = 64
    /// Columns that are multiplied at once: what a tile reads stays in the second-level cache.
    static let depth = 256

    private typealias Lanes = SIMD2<Double>

    static func bands(_ rowCount: Int) -> Int { (rowCount + tile - 1) / tile }
    static func band(_ index: Int, of rowCount: Int) -> Range<Int> { (index * tile)..<min((index + 1) * tile, rowCount) }

    /// Calls `body` for every tile of A B^T, or of its upper right half where `upperHalf`; those of a band on one thread.
    static func forEachTile(
        _ a: some MatrixRows, _ b: some MatrixRows, upperHalf: Bool = false, _ body: @Sendable (ProductTile) -> Void
    ) {
        DispatchQueue.concurrentPerform(iterations: bands(a.rowCount)) { index in
            let rows = band(index, of: a.rowCount)
            let work = UnsafeMutablePointer<Double>.allocate(capacity: 2 * tile * depth + tile * tile)
            defer { work.deallocate() }
            for column in (upperHalf ? index : 0)..<bands(b.rowCount) {
                let columns = band(column, of: b.rowCount)
                multiply(a, rows, b, columns, work)
                body(ProductTile(rows: rows, columns: columns, values: work + 2 * tile * depth))
            }
        }
    }

    /// The product of two matrices, row-major [M, N].
    static func matrix(_ a: some MatrixRows, _ b: some MatrixRows) -> [Double] {
        let width = b.rowCount
        return [Double](unsafeUninitializedCapacity: a.rowCount * width) { buffer, count in
            let result = SharedBuffer(buffer)
            forEachTile(a, b) { tile in
                for row in tile.rows {
                    for column in tile.columns { result.buffer[row * width + column] = tile[row, column] }
                }
            }
            count = a.rowCount * width
        }
    }

    /// A A^T, row-major [M, M]: half the work, and symmetric to the bit.
    static func symmetric(_ a: some MatrixRows) -> [Double] {
        let order = a.rowCount
        return [Double](unsafeUninitializedCapacity: order * order) { buffer, count in
            let result = SharedBuffer(buffer)
            forEachTile(a, a, upperHalf: true) { tile in
                for row in tile.rows {
                    for column in tile.columns {
                        result.buffer[row * order + column] = tile[row, column]
                        if tile.rows != tile.columns { result.buffer[column * order + row] = tile[row, column] }
                    }
                }
            }
            count = order * order
        }
    }

    /// The inner product of each row with itself, to the bit as a tile has it.
    static func squares(_ a: some MatrixRows) -> [Double] {
        [Double](unsafeUninitializedCapacity: a.rowCount) { buffer, count in
            let result = SharedBuffer(buffer)
            DispatchQueue.concurrentPerform(iterations: bands(a.rowCount)) { index in
                let rows = band(index, of: a.rowCount)
                let work = UnsafeMutablePointer<Double>.allocate(capacity: tile * depth)
                defer { work.deallocate() }
                for row in rows { result.buffer[row] = 0 }
                forEachChunk(a.columnCount) { columns, vectors in
                    pack(a, rows, columns, vectors, work)
                    work.withMemoryRebound(to: Lanes.self, capacity: tile * vectors) { packed in
                        for row in rows {
                            let x = packed + (row - rows.lowerBound) * vectors
                            var sum = Lanes.zero
                            for k in 0..<vectors { sum += x[k] * x[k] }
                            result.buffer[row] += sum.sum()
                        }
                    }
                }
            }
            count = a.rowCount
        }
    }

    private static func forEachChunk(_ count: Int, _ body: (Range<Int>, Int) -> Void) {
        for start in stride(from: 0, to: count, by: depth) {
            let columns = start..<min(start + depth, count)
            body(columns, (columns.count + Lanes.scalarCount - 1) / Lanes.scalarCount)
        }
    }

    /// Copies a rectangle; rows that are missing of the last four, and the end of a vector, are zeros.
    private static func pack(
        _ a: some MatrixRows, _ rows: Range<Int>, _ columns: Range<Int>, _ vectors: Int, _ target: UnsafeMutablePointer<Double>
    ) {
        let width = vectors * Lanes.scalarCount
        a.copy(rows: rows, columns: columns, to: target, stride: width)
        if width > columns.count { for row in 0..<rows.count { target[row * width + columns.count] = 0 } }
        let missing = (rows.count * width)..<((rows.count + 3) / 4 * 4 * width)
        for i in missing { target[i] = 0 }
    }

    /// One tile: `work` holds both rectangles and, behind them, the result.
    private static func multiply(
        _ a: some MatrixRows, _ rows: Range<Int>, _ b: some MatrixRows, _ columns: Range<Int>,
        _ work: UnsafeMutablePointer<Double>
    ) {
        let (left, right, result) = (work, work + tile * depth, work + 2 * tile * depth)
        result.initialize(repeating: 0, count: tile * tile)
        forEachChunk(a.columnCount) { range, vectors in
            pack(a, rows, range, vectors, left)
            pack(b, columns, range, vectors, right)
            left.withMemoryRebound(to: Lanes.self, capacity: tile * vectors) { left in
                right.withMemoryRebound(to: Lanes.self, capacity: tile * vectors) { right in
                    for row in stride(from: 0, to: rows.count, by: 4) {
                        for column in stride(from: 0, to: columns.count, by: 4) {
                            fourByFour(left + row * vectors, right + column * vectors, vectors, result + row * tile + column)
                        }
                    }
                }
            }
        }
    }

    /// Sixteen sums at a time: as many as there are registers, so that a loaded vector serves four products.
    private static func fourByFour(
        _ a: UnsafePointer<Lanes>, _ b: UnsafePointer<Lanes>, _ n: Int, _ result: UnsafeMutablePointer<Double>
    ) {
        var (s00, s01, s02, s03) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var (s10, s11, s12, s13) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var (s20, s21, s22, s23) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var (s30, s31, s32, s33) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        for k in 0..<n {
            let (y0, y1, y2, y3) = (b[k], b[n + k], b[2 * n + k], b[3 * n + k])
            let x0 = a[k]
            s00 += x0 * y0
            s01 += x0 * y1
            s02 += x0 * y2
            s03 += x0 * y3
            let x1 = a[n + k]
            s10 += x1 * y0
            s11 += x1 * y1
            s12 += x1 * y2
            s13 += x1 * y3
            let x2 = a[2 * n + k]
            s20 += x2 * y0
            s21 += x2 * y1
            s22 += x2 * y2
            s23 += x2 * y3
            let x3 = a[3 * n + k]
            s30 += x3 * y0
            s31 += x3 * y1
            s32 += x3 * y2
            s33 += x3 * y3
        }
        func add(_ row: Int, _ v0: Lanes, _ v1: Lanes, _ v2: Lanes, _ v3: Lanes) {
            let target = result + row * tile
            target[0] += v0.sum()
            target[1] += v1.sum()
            target[2] += v2.sum()
            target[3] += v3.sum()
        }
        add(0, s00, s01, s02, s03)
        add(1, s10, s11, s12, s13)
        add(2, s20, s21, s22, s23)
        add(3, s30, s31, s32, s33)
    }
}
