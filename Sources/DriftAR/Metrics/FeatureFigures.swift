import DriftReport

/// Real images in a feature space, to which others are compared.
public struct FeatureReference: Sendable {
    let statistics: FeatureStatistics
    /// The features themselves; nil where only their statistics are known.
    let features: FeatureSet?

    /// Real images that are at hand.
    public init(_ features: FeatureSet) throws {
        statistics = try FeatureStatistics(features)
        self.features = features
    }

    /// Statistics alone: for the Frechet distance and nothing else.
    public init(_ statistics: FeatureStatistics) {
        self.statistics = statistics
        features = nil
    }
}

/// How close one set of images is to real ones in a feature space.
public struct FeatureFigures: Sendable, Equatable {
    /// Squared Frechet distance. Few images make it larger: compare sets of one size.
    public let frechet: Double?
    public let kernel: KernelDistance?
    public let precisionRecall: PrecisionRecall?
    /// Part of the images that the feature space's classifier gives the label they were drawn for.
    public let accuracy: Double?
    public let inceptionScore: InceptionScore?
    /// Images whose features are finite.
    public let count: Int
    /// Features of an image.
    public let width: Int
    /// Images with a feature that is not finite; they count as wrong, and not towards the other figures.
    public let notFinite: Int

    /// Most rows of either set in precision and recall, whose work is quadratic.
    public static let neighbourLimit = 10_000

    /// The figures of a set, whose images have `labels`, in what `space` makes of it. Precision and recall use equally many
    /// images of both sets, because each grows with the size of the other set.
    public init(_ images: ImageFeatures, labels: [Int32], in space: some FeatureSpace, against real: FeatureReference) throws {
        let features = images.features
        // One image has no covariance, which is no reason to end.
        frechet = features.count < 2 ? nil : try FrechetDistance.squared(FeatureStatistics(features), real.statistics)
        if let all = real.features {
            kernel = try KernelDistance(features, all)
            let count = min(features.count, all.count, Self.neighbourLimit)
            precisionRecall = PrecisionRecall(generated: features.spread(count), real: all.spread(count), neighbours: 3)
        } else {
            kernel = nil
            precisionRecall = nil
        }
        if let logits = images.logits, !labels.isEmpty {
            accuracy = space.knowsClasses ? FittedClassifier.correctShare(logits: logits, labels: labels) : nil
            inceptionScore = InceptionScore(logits: try FeatureSet(logits, width: logits.count / labels.count))
        } else {
            accuracy = nil
            inceptionScore = nil
        }
        (count, width, notFinite) = (features.count, features.width, features.notFinite)
    }
}
