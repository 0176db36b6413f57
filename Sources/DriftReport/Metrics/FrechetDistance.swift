import DriftFormats

/// The Frechet distance of two normal distributions (Dowson and Landau, 1982), squared; in the features of an Inception
/// network the FID (Heusel et al., arXiv 1706.08500):
///
///     |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^1/2
public enum FrechetDistance {
    /// The squared distance of two sets' statistics; 0 where rounding would make it less. Throws where it comes out so far below
    /// 0 that rounding does not explain it.
    ///
    /// S1 S2 and S1^1/2 S2 S1^1/2 have the same eigenvalues, and those of the second, which is symmetric, are real and not
    /// negative: no complex root is taken, and a singular covariance (fewer images than features) needs nothing added to its
    /// diagonal. Eigenvalues within rounding of 0 count as 0: their roots would add up to more than noise.
    public static func squared(_ a: FeatureStatistics, _ b: FeatureStatistics) throws -> Double {
        guard a.width == b.width else {
            throw DataError(
                "\(a.width) features against \(b.width)", at: "Frechet distance", fix: "compare features of one kind")
        }
        let width = a.width
        let first = try SymmetricMatrix(order: width, values: a.covariance).eigenvectors()
        let kept = (0..<width).filter { first.values[$0] > noise(of: first.values) }
        // Rows v_i sqrt(lambda_i): the product of its transpose and itself is S1.
        let root = DenseRows(
            rowCount: kept.count, columnCount: width,
            values: kept.flatMap { i in
                let factor = first.values[i].squareRoot()
                return first.vectors[(i * width)..<((i + 1) * width)].map { $0 * factor }
            })
        let half = DenseRows(
            rowCount: kept.count, columnCount: width,
            values: RowProducts.matrix(root, SymmetricMatrix(order: width, values: b.covariance)))
        let eigenvalues = try SymmetricMatrix(order: kept.count, values: RowProducts.matrix(half, root)).eigenvalues()
        let floor = noise(of: eigenvalues)
        let rootTrace = eigenvalues.reduce(0) { $0 + ($1 > floor ? $1.squareRoot() : 0) }

        let shift = zip(a.mean, b.mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let traces = (0..<width).reduce(0) { $0 + a.covariance[$1 * (width + 1)] + b.covariance[$1 * (width + 1)] }
        let squared = shift + traces - 2 * rootTrace
        guard squared >= -tolerance * (shift + traces) else {
            throw DataError(
                "\(NumberText.brief(squared)), which is below 0", at: "Frechet distance",
                fix: "calculate the statistics again, in double precision")
        }
        return max(squared, 0)
    }

    /// Part of the traces that roots of eigenvalues of statistics in single precision may be off by.
    private static let tolerance = 1e-3

    /// What rounding makes of an eigenvalue 0.
    private static func noise(of eigenvalues: [Double]) -> Double {
        Double(eigenvalues.count) * .ulpOfOne * max(eigenvalues.last ?? 0, 0)
    }
}
