import DriftData
import DriftFormats

/// The kernel distance (KID; Binkowski et al., arXiv 1801.01401): the squared maximum mean discrepancy of two sets under the
/// kernel (x y / D + 1)^3, estimated without bias on random subsets.
public struct KernelDistance: Sendable, Equatable {
    /// Mean over the subsets. It can be negative: the estimate of 0 scatters around 0.
    public let mean: Double
    /// Standard deviation over the subsets.
    public let deviation: Double

    /// Subsets of as many rows of each set, drawn without replacement; `subsetSize` at most, and as many as both have. Nil
    /// where one has fewer than two. 2 `subsets` size^2 D operations.
    public init?(_ x: FeatureSet, _ y: FeatureSet, subsets: Int = 100, subsetSize: Int = 1000, seed: UInt64 = 0) throws {
        guard x.width == y.width else {
            throw DataError("\(x.width) features against \(y.width)", at: "kernel distance", fix: "compare features of one kind")
        }
        let size = min(subsetSize, x.count, y.count)
        guard size >= 2, subsets >= 1 else { return nil }
        let random = Philox(seed: seed)
        // Where a subset is everything, one is enough.
        let count = size == x.count && size == y.count ? 1 : subsets
        let values = (0..<count).map { subset in
            Self.discrepancy(
                FeatureRows(x, random.draw(size, of: x.count, stream: Self.stream, step: UInt64(subset) * 2)),
                FeatureRows(y, random.draw(size, of: y.count, stream: Self.stream, step: UInt64(subset) * 2 + 1)))
        }
        let mean = values.reduce(0, +) / Double(count)
        self.mean = mean
        deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
    }

    private static let stream: UInt32 = 0x3001_0000

    /// The unbiased estimate on all rows of both sets; two of each at least.
    static func discrepancy(_ x: FeatureRows, _ y: FeatureRows) -> Double {
        let (m, n) = (Double(x.rowCount), Double(y.rowCount))
        return pairSum(x) * 2 / (m * (m - 1)) + pairSum(y) * 2 / (n * (n - 1)) - 2 * sum(x, y) / (m * n)
    }

    /// Sum of the kernel over pairs of different rows, each pair once.
    private static func pairSum(_ x: FeatureRows) -> Double { sum(x, x, upperHalf: true) { $0 < $1 } }

    private static func sum(
        _ x: FeatureRows, _ y: FeatureRows, upperHalf: Bool = false, where isCounted: @Sendable (Int, Int) -> Bool = { _, _ in true }
    ) -> Double {
        let scale = 1 / Double(x.columnCount)
        let sums = [Double](unsafeUninitializedCapacity: RowProducts.bands(x.rowCount)) { buffer, count in
            buffer.initialize(repeating: 0)
            let sums = SharedBuffer(buffer)
            RowProducts.forEachTile(x, y, upperHalf: upperHalf) { tile in
                var sum = 0.0
                for row in tile.rows {
                    for column in tile.columns where isCounted(row, column) {
                        let value = tile[row, column] * scale + 1
                        sum += value * value * value
                    }
                }
                sums.buffer[tile.rows.lowerBound / RowProducts.tile] += sum
            }
            count = RowProducts.bands(x.rowCount)
        }
        return sums.reduce(0, +)
    }
}
