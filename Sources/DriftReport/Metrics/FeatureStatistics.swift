import DriftFormats

/// Mean and covariance of features: all that the Frechet distance asks of a data set.
public struct FeatureStatistics: Sendable {
    /// [D].
    public let mean: [Double]
    /// [D, D], row-major, symmetric; its divisor is the number of images less one.
    public let covariance: [Double]

    /// D.
    public var width: Int { mean.count }

    /// Most features: the covariance has their square.
    public static let widthLimit = 4096

    /// The statistics of a set of two images or more. N D^2 operations on all cores, in double precision.
    public init(_ set: FeatureSet) throws {
        guard set.count >= 2 else {
            throw DataError("\(set.count) images have no covariance", at: "features", fix: "give 2 or more with finite values")
        }
        try Self.check(width: set.width, at: "features")
        var sums = [Double](repeating: 0, count: set.width)
        for start in stride(from: 0, to: set.values.count, by: set.width) {
            for k in 0..<set.width { sums[k] += Double(set.values[start + k]) }
        }
        let mean = sums.map { $0 / Double(set.count) }
        let scale = 1 / Double(set.count - 1)
        self.mean = mean
        covariance = RowProducts.symmetric(CenteredColumns(features: set, mean: mean)).map { $0 * scale }
    }

    /// Statistics that come from elsewhere. Throws where `covariance` [D, D] is none: where it is not symmetric, or where a
    /// variance along some direction is below 0, by more than rounding to single precision explains. About D^3 / 3 operations.
    public init(mean: [Double], covariance: [Double], name: String) throws {
        try Self.check(width: mean.count, at: name)
        let width = mean.count
        guard width > 0, covariance.count == width * width else {
            throw DataError("\(covariance.count) covariances for \(width) means", at: name, fix: "give mu [D] and sigma [D, D]")
        }
        guard mean.allSatisfy(\.isFinite), covariance.allSatisfy(\.isFinite) else {
            let count = mean.count { !$0.isFinite } + covariance.count { !$0.isFinite }
            throw DataError("\(counted(count, "value")) of mu and sigma not finite", at: name, fix: "calculate the statistics again")
        }
        let largest = covariance.reduce(0) { max($0, abs($1)) }
        // What rounding to single precision adds to an eigenvalue grows with the root of D.
        let slack = 16 * Double(Float.ulpOfOne) * Double(width).squareRoot() * largest
        let remedy = "give numpy.cov of the features, rows of images: sigma = numpy.cov(features, rowvar=False)"
        let skew = covariance.indices.reduce(0) { max($0, abs(covariance[$1] - covariance[$1 % width * width + $1 / width])) }
        guard skew <= slack else {
            throw DataError("sigma is not symmetric, by up to \(NumberText.brief(skew))", at: name, fix: remedy)
        }
        self.mean = mean
        self.covariance = covariance.indices.map { (covariance[$0] + covariance[$0 % width * width + $0 / width]) / 2 }
        let matrix = SymmetricMatrix(order: width, values: self.covariance)
        guard try largest == 0 || matrix.isPositive(slack: slack) else {
            let least = try matrix.eigenvalues().first ?? 0
            throw DataError("sigma is no covariance: a variance of \(NumberText.brief(least))", at: name, fix: remedy)
        }
    }

    private static func check(width: Int, at place: String) throws {
        guard width <= widthLimit else {
            throw DataError(
                "\(width) features, of which at most \(widthLimit) have a covariance here", at: place,
                fix: "use features of fewer values, such as phi or a classifier's")
        }
    }
}

/// Features less their mean, transposed: a row is what all images have of one feature.
private struct CenteredColumns: MatrixRows {
    let features: FeatureSet
    let mean: [Double]

    var rowCount: Int { features.width }
    var columnCount: Int { features.count }

    func copy(rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Double>, stride: Int) {
        features.values.withUnsafeBufferPointer { values in
            mean.withUnsafeBufferPointer { mean in
                for (c, image) in columns.enumerated() {
                    let source = image * features.width
                    for (r, feature) in rows.enumerated() {
                        target[r * stride + c] = Double(values[source + feature]) - mean[feature]
                    }
                }
            }
        }
    }
}
