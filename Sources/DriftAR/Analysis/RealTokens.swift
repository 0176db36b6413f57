import DriftData

extension ImageSet {
    /// Tokens [L images, R, C] of the first images of each label, evenly spread, a label of fewer has some of them more than once; of
    /// latents' distributions the means.
    func tokens(_ labels: [Int], perLabel: Int, _ configuration: Configuration) throws -> [Float] {
        let drawn = labels.flatMap { label in
            let members = index.members[label]
            let count = min(perLabel, members.count)
            return (0..<perLabel).map { DrawnImage(index: members[$0 % count * members.count / count], variant: ImageVariant()) }
        }
        var values = [Float](repeating: 0, count: drawn.count * valueCount)
        try values.withUnsafeMutableBufferPointer { try read(drawn, to: $0) }
        if case .moments(let scale) = form {
            let size = valueCount
            values = drawn.indices.flatMap { image in values[(image * size)..<(image * size + size / 2)].map { $0 * scale } }
        }
        return DriftAR.tokens(fromPlanes: values, configuration)
    }

    /// Those of `labels` that have images, and how many of each keep to `limit` tokens in all: one at least.
    func members(of labels: [Int], limit: Int, tokens: Int) -> (labels: [Int], perLabel: Int) {
        let present = labels.filter { $0 < index.members.count && !index.members[$0].isEmpty }
        let most = present.map { index.members[$0].count }.max() ?? 0
        return (present, min(most, max(1, limit / tokens / max(1, present.count))))
    }
}

/// Root mean square of the difference of token `first` of `a` [n, C] and token `second` of `b` [n, C], of `width` values.
func tokenDistance(_ a: [Float], _ first: Int, _ b: [Float], _ second: Int, width: Int) -> Double {
    let square = (0..<width).reduce(0.0) { sum, value in
        let difference = Double(a[first * width + value]) - Double(b[second * width + value])
        return sum + difference * difference
    }
    return (square / Double(width)).squareRoot()
}
