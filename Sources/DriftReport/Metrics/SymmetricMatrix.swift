import CLAPACKE
import DriftFormats

/// A symmetric matrix in double precision, and what LAPACK knows of it.
struct SymmetricMatrix: MatrixRows {
    let order: Int
    /// [order, order].
    let values: [Double]

    var rowCount: Int { order }
    var columnCount: Int { order }

    func copy(rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int) {
        DenseRows(rowCount: order, columnCount: order, values: values).copy(rows: rows, columns: columns, to: target, stride: stride)
    }

    /// Eigenvalues, ascending.
    func eigenvalues() throws -> [Double] { try decompose(vectors: false).values }

    /// Eigenvalues, ascending, and row i the vector of value i.
    func eigenvectors() throws -> (values: [Double], vectors: [Double]) { try decompose(vectors: true) }

    /// Whether no eigenvalue is below -`slack`, which is above 0. About n^3 / 3 operations.
    func isPositive(slack: Double) throws -> Bool {
        guard let size = Int32(exactly: order) else { throw Self.failure("of \(order) rows") }
        var matrix = values
        for i in 0..<order { matrix[i * (order + 1)] += slack }
        // Cholesky's decomposition exists for just those.
        let info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "U")), size, &matrix, size)
        guard info >= 0 else { throw Self.failure("(dpotrf says \(info))") }
        return info == 0
    }

    /// Divide and conquer (dsyevd). About 9 n^3 operations with vectors, 4/3 n^3 without.
    private func decompose(vectors: Bool) throws -> (values: [Double], vectors: [Double]) {
        guard order > 0 else { return ([], []) }
        guard let size = Int32(exactly: order) else { throw Self.failure("of \(order) rows") }
        var (matrix, eigenvalues) = (values, [Double](repeating: 0, count: order))
        // LAPACK writes a vector to each column, and counts columns first: to a row of ours.
        let info = LAPACKE_dsyevd(
            LAPACK_COL_MAJOR, CChar(UInt8(ascii: vectors ? "V" : "N")), CChar(UInt8(ascii: "U")), size, &matrix, size,
            &eigenvalues)
        switch info {
        case 0: return (eigenvalues, matrix)
        case LAPACK_WORK_MEMORY_ERROR: throw Self.failure("of \(order) rows for want of memory")
        default: throw Self.failure("(dsyevd says \(info))")
        }
    }

    private static func failure(_ what: String) -> DataError {
        DataError("no eigenvalues of a matrix \(what)", at: "Frechet distance", fix: "check the features it comes from")
    }
}

/// A matrix whose rows lie one after the other.
struct DenseRows: MatrixRows {
    let rowCount: Int
    let columnCount: Int
    let values: [Double]

    func copy(rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int) {
        values.withUnsafeBufferPointer { values in
            for (r, row) in rows.enumerated() {
                let source = row * columnCount + columns.lowerBound
                for k in 0..<columns.count { target[r * stride + k] = values[source + k] }
            }
        }
    }
}
