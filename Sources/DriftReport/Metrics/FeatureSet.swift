import DriftFormats

/// Features of images: one row of numbers an image.
public struct FeatureSet: Sendable {
    /// [N, D], all finite.
    public let values: [Float]
    /// D.
    public let width: Int
    /// Rows that were left out because a value of theirs is not finite.
    public let notFinite: Int

    /// Takes `values` [N, D] without the rows that have a value that is not finite.
    public init(_ values: [Float], width: Int) throws {
        guard width > 0, values.count.isMultiple(of: width) else {
            throw DataError("\(values.count) values are no rows of \(width)", at: "features", fix: "give whole rows of 1 value or more")
        }
        self.width = width
        let isDamaged = rowsNotFinite(values, width: width)
        notFinite = isDamaged.count(where: { $0 })
        self.values =
            notFinite == 0
            ? values : isDamaged.indices.filter { !isDamaged[$0] }.flatMap { values[($0 * width)..<(($0 + 1) * width)] }
    }

    /// N.
    public var count: Int { values.count / width }

    /// At most `limit` of the rows, evenly spread.
    package func spread(_ limit: Int) -> FeatureRows {
        let kept = min(count, limit)
        return FeatureRows(self, (0..<kept).map { $0 * count / max(kept, 1) })
    }

    /// All rows.
    package var rows: FeatureRows { FeatureRows(self, Array(0..<count)) }
}

/// Which rows of `values` [N, width] have a value that is not finite.
package func rowsNotFinite(_ values: [Float], width: Int) -> [Bool] {
    values.withUnsafeBufferPointer { values in
        // An infinity or NaN times zero is NaN: one pass without a branch for each value.
        stride(from: 0, to: values.count, by: max(width, 1)).map { start in
            !(values[start..<min(start + max(width, 1), values.count)].reduce(0) { $0 + $1 * 0 } == 0)
        }
    }
}

/// Chosen rows of a set of features.
package struct FeatureRows: MatrixRows {
    let features: FeatureSet
    let indices: [Int]

    init(_ features: FeatureSet, _ indices: [Int]) {
        self.features = features
        self.indices = indices
    }

    var rowCount: Int { indices.count }
    var columnCount: Int { features.width }

    func copy(rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int) {
        features.values.withUnsafeBufferPointer { values in
            for (r, row) in rows.enumerated() {
                let source = indices[row] * features.width + columns.lowerBound
                for k in 0..<columns.count { target[r * stride + k] = Double(values[source + k]) }
            }
        }
    }
}
