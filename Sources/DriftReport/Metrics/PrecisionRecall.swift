import DriftFormats

/// Precision and recall of generated images (Kynkaanniemi et al., arXiv 1904.06991): the part of the generated images that lie
/// among the real ones, and of the real ones that lie among the generated ones. A set's neighbourhood is the union of balls
/// around its images, each of which reaches to the image's k-th nearest neighbour in the set.
public struct PrecisionRecall: Sendable, Equatable {
    public let precision: Double
    public let recall: Double

    /// Nil where a set has no k-th neighbours. For N rows on either side 8 N^2 D operations, in blocks.
    public init?(generated: FeatureSet, real: FeatureSet, neighbours: Int = 3) throws {
        guard generated.width == real.width else {
            throw DataError(
                "\(generated.width) features against \(real.width)", at: "precision and recall", fix: "compare features of one kind")
        }
        self.init(generated: generated.rows, real: real.rows, neighbours: neighbours)
    }

    package init?(generated: FeatureRows, real: FeatureRows, neighbours: Int) {
        guard neighbours >= 1, generated.rowCount > neighbours, real.rowCount > neighbours else { return nil }
        let (generated, real) = (Neighbourhood(generated, neighbours), Neighbourhood(real, neighbours))
        precision = real.share(of: generated)
        recall = generated.share(of: real)
    }
}

/// A set of features and the squared radius of the ball around each.
private struct Neighbourhood: Sendable {
    let rows: FeatureRows
    let squares: [Double]
    let radii: [Double]

    init(_ rows: FeatureRows, _ neighbours: Int) {
        let squares = RowProducts.squares(rows)
        // The smallest distances of each row so far, ascending.
        var nearest = [Double](repeating: .infinity, count: rows.rowCount * neighbours)
        nearest.withUnsafeMutableBufferPointer { buffer in
            let nearest = SharedBuffer(buffer)
            RowProducts.forEachTile(rows, rows) { tile in
                for row in tile.rows {
                    let own = row * neighbours
                    for column in tile.columns where column != row {
                        let distance = squares[row] + squares[column] - 2 * tile[row, column]
                        guard distance < nearest.buffer[own + neighbours - 1] else { continue }
                        var place = own + neighbours - 1
                        while place > own, nearest.buffer[place - 1] > distance {
                            nearest.buffer[place] = nearest.buffer[place - 1]
                            place -= 1
                        }
                        nearest.buffer[place] = distance
                    }
                }
            }
        }
        self.rows = rows
        self.squares = squares
        radii = (0..<rows.rowCount).map { nearest[($0 + 1) * neighbours - 1] }
    }

    /// The part of the other set's rows that lie in a ball of this one.
    func share(of other: Neighbourhood) -> Double {
        var isInside = [Bool](repeating: false, count: other.rows.rowCount)
        isInside.withUnsafeMutableBufferPointer { buffer in
            let isInside = SharedBuffer(buffer)
            RowProducts.forEachTile(other.rows, rows) { tile in
                for row in tile.rows where !isInside.buffer[row] {
                    for column in tile.columns
                    where other.squares[row] + squares[column] - 2 * tile[row, column] <= radii[column] {
                        isInside.buffer[row] = true
                        break
                    }
                }
            }
        }
        return Double(isInside.count(where: { $0 })) / Double(isInside.count)
    }
}
