import DriftData
import Foundation

/// The Inception Score (Salimans et al., arXiv 1606.03498): exp of the mean divergence of a classifier's answer for an image
/// from its mean answer. 1 where all answers are alike, the number of classes where every image is classified surely and all
/// classes are equally frequent.
public struct InceptionScore: Sendable, Equatable {
    /// Mean over the parts into which the images are divided.
    public let mean: Double
    /// Standard deviation over the parts.
    public let deviation: Double

    /// `logits` [N, C], one row an image, all finite; parts of about equal size, into which the images are dealt at random:
    /// samples stand in the order of their labels, and a part of one label would have a score of 1. Nil without an image for
    /// each part.
    public init?(logits: FeatureSet, parts: Int = 10, seed: UInt64 = 0) {
        guard parts >= 1, logits.count >= parts else { return nil }
        let order = Philox(seed: seed).draw(logits.count, of: logits.count, stream: Self.stream, step: 0)
        let scores = (0..<parts).map { part in
            let images = (part * logits.count / parts)..<((part + 1) * logits.count / parts)
            return Self.score(logits, order[images])
        }
        let mean = scores.reduce(0, +) / Double(parts)
        self.mean = mean
        deviation = (scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(parts)).squareRoot()
    }

    private static let stream: UInt32 = 0x3002_0000

    static func score(_ logits: FeatureSet, _ images: some Collection<Int>) -> Double {
        let classes = logits.width
        var sums = [Double](repeating: 0, count: classes)
        // sum over images and classes of p log p.
        var information = 0.0
        for image in images {
            let row = logits.values[(image * classes)..<((image + 1) * classes)].map(Double.init)
            let top = row.max() ?? 0
            let normaliser = top + log(row.reduce(0) { $0 + exp($1 - top) })
            for (k, value) in row.enumerated() {
                let probability = exp(value - normaliser)
                sums[k] += probability
                information += probability * (value - normaliser)
            }
        }
        let count = Double(images.count)
        let crossed = sums.reduce(0) { $0 + ($1 > 0 ? $1 / count * log($1 / count) : 0) }
        return exp(information / count - crossed)
    }
}
