import DriftData
import Foundation

/// How many tokens of the real images a training step hides: a rate from a normal law about 1, cut to `minimum`...1 (MAR, 3.2).
package struct TokenMasking: Sendable, Equatable {
    /// R, tokens of an image.
    package var tokens: Int
    /// Least part of the tokens that is hidden.
    package var minimum: Double
    /// Of the law before it is cut.
    package var deviation: Double

    package init(tokens: Int, minimum: Double, deviation: Double) {
        (self.tokens, self.minimum, self.deviation) = (tokens, minimum, deviation)
    }

    /// The rate at the point u of 0 ..< 1 of its distribution.
    package func rate(_ u: Double) -> Double {
        guard minimum < 1, deviation > 0 else { return 1 }
        let least = Self.normalDistribution((minimum - 1) / deviation)
        return min(1, max(minimum, 1 + deviation * Self.normalQuantile(least + u * (0.5 - least))))
    }

    /// Hidden tokens at a rate: one at least.
    package func count(_ rate: Double) -> Int { min(tokens, max(1, Int((Double(tokens) * rate).rounded(.up)))) }

    /// Every number of hidden tokens that a step may have, ascending.
    package var counts: ClosedRange<Int> { count(minimum)...tokens }

    /// The part of a standard normal law below x.
    private static func normalDistribution(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }

    /// The x below which a part p of the law lies, 0 < p < 1: Newton's steps from 0, on the side where the function is convex or
    /// concave throughout, so that they cannot run away.
    private static func normalQuantile(_ p: Double) -> Double {
        var x = 0.0
        for _ in 0..<60 {
            let step = (normalDistribution(x) - p) / (exp(-x * x / 2) / (2 * Double.pi).squareRoot())
            x -= step
            if abs(step) < 1e-14 * max(1, abs(x)) { break }
        }
        return x
    }
}

extension StepPlan {
    /// Images of a step whose labels have so many images each, in the order of its real images.
    private func count(_ perLabel: Int) -> Int { labels.count * perLabel }

    /// Tokens that the step hides of each of its images.
    static func masked(_ masking: TokenMasking, _ random: Philox, step: Int) -> Int {
        masking.count(masking.rate(random.uniform(stream: Stream.rate, tensor: step, element: 0)))
    }

    /// A random order of the tokens of each image [L G, R], of which the first ones are hidden.
    package func orders(tokens: Int, perLabel: Int) -> [Int32] {
        (0..<count(perLabel)).flatMap { image in
            Self.order(tokens: tokens) { element in
                random.words(
                    UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: image), UInt32(truncatingIfNeeded: step),
                    Stream.order &+ UInt32(truncatingIfNeeded: step >> 32))
            }
        }
    }

    /// For each image [L G] 0 where it is trained without its label, else 1.
    package func keepsLabel(perLabel: Int, drop: Float) -> [Float] {
        (0..<count(perLabel)).map { image in
            random.uniform(stream: Stream.imageDrop, tensor: step, element: image) < Double(drop) ? 0 : 1
        }
    }

    /// 0 ..< tokens in the order of the words drawn for them.
    static func order(tokens: Int, _ words: (Int) -> SIMD4<UInt32>) -> [Int32] {
        (0..<tokens).map { token in
            let drawn = words(token)
            return (key: UInt64(drawn[0]) << 32 | UInt64(drawn[1]), token: Int32(token))
        }.sorted { ($0.key, $0.token) < ($1.key, $1.token) }.map(\.token)
    }
}
