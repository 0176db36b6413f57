/// Pearson's correlation of two series of numbers.
package struct Correlation: Sendable, Equatable {
    /// In [-1, 1]; nil where one of the two does not vary, or there are fewer than two pairs.
    package let r: Double?
    /// Pairs that counted.
    package let count: Int

    /// Pairs with a number that is not finite do not count.
    package init(_ pairs: [(x: Double, y: Double)]) {
        let pairs = pairs.filter { $0.x.isFinite && $0.y.isFinite }
        count = pairs.count
        let n = Double(max(1, count))
        // About the means: a sum of squares minus a square would lose a narrow spread around a large value.
        let meanX = pairs.reduce(0) { $0 + $1.x } / n
        let meanY = pairs.reduce(0) { $0 + $1.y } / n
        var (xx, yy, xy) = (0.0, 0.0, 0.0)
        for pair in pairs {
            let (dx, dy) = (pair.x - meanX, pair.y - meanY)
            xx += dx * dx
            yy += dy * dy
            xy += dx * dy
        }
        let product = xx.squareRoot() * yy.squareRoot()
        r = count >= 2 && product > 0 && product.isFinite ? min(max(xy / product, -1), 1) : nil
    }
}

/// Pairs sorted by x and cut into bins that hold as many each, give or take one.
package struct BinnedMeans: Sendable, Equatable {
    package struct Bin: Sendable, Equatable {
        package let low: Double
        package let high: Double
        package let count: Int
        package let meanX: Double
        package let meanY: Double
        /// Of y, over the pairs of the bin.
        package let deviationY: Double
    }

    package let bins: [Bin]

    /// At most `count` bins, none with fewer than `least` pairs unless there is only one. Pairs with a number that is not
    /// finite do not count.
    package init(_ pairs: [(x: Double, y: Double)], count: Int = 10, least: Int = 4) {
        let sorted = pairs.filter { $0.x.isFinite && $0.y.isFinite }.sorted { ($0.x, $0.y) < ($1.x, $1.y) }
        let bins = max(1, min(count, sorted.count / max(1, least)))
        self.bins = (0..<bins).compactMap { index in
            let part = sorted[(index * sorted.count / bins)..<((index + 1) * sorted.count / bins)]
            guard let first = part.first, let last = part.last else { return nil }
            let n = Double(part.count)
            let mean = part.reduce(0) { $0 + $1.y } / n
            let square = part.reduce(0) { $0 + ($1.y - mean) * ($1.y - mean) } / n
            return Bin(
                low: first.x, high: last.x, count: part.count, meanX: part.reduce(0) { $0 + $1.x } / n, meanY: mean,
                deviationY: square.squareRoot())
        }
    }
}

/// How many values lie between neighbouring edges, the last edge included.
package struct Histogram: Sendable, Equatable {
    /// One more than counts.
    package let edges: [Double]
    package let counts: [Int]

    /// `bins` of one width from `low` to `high`; what lies outside of them or is not a number does not count.
    package init(_ values: [Double], low: Double, high: Double, bins: Int) {
        let bins = max(1, bins)
        let width = (high - low) / Double(bins)
        var counts = [Int](repeating: 0, count: bins)
        for value in values where value >= low && value <= high {
            counts[width > 0 ? min(Int((value - low) / width), bins - 1) : 0] += 1
        }
        self.counts = counts
        edges = (0...bins).map { $0 == bins ? high : low + Double($0) * width }
    }

    /// Parts of all that counted.
    package var shares: [Double] {
        let total = Double(max(1, counts.reduce(0, +)))
        return counts.map { Double($0) / total }
    }
}
