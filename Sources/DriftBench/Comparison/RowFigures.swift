import DriftAR

/// How good a set of images is under the classifier that all rows share.
public struct ImageQuality: Codable, Sendable, Equatable {
    public var images: Int
    /// Part that the classifier reads as what they should be.
    public var accuracy: Double?
    public var frechet: Double?
    /// KID, and its standard deviation.
    public var kernel: Double?
    public var kernelDeviation: Double?
    public var precision: Double?
    public var recall: Double?
    public var diversity: Double?

    init(images: Int) { self.images = images }

    init(_ column: Evaluation.Column) {
        images = column.count
        diversity = column.images?.diversity
        guard let features = column.features else { return }
        (accuracy, frechet) = (features.accuracy, features.frechet)
        (kernel, kernelDeviation) = (features.kernel?.mean, features.kernel?.deviation)
        (precision, recall) = (features.precisionRecall?.precision, features.precisionRecall?.recall)
        // A figure that is no number cannot be kept in JSON, and says nothing.
        func finite(_ value: inout Double?) { value = value.flatMap { $0.isFinite ? $0 : nil } }
        for figure in [\ImageQuality.frechet, \.kernel, \.kernelDeviation, \.diversity] { finite(&self[keyPath: figure]) }
    }
}

/// What a row's images are worth.
public struct RowQuality: Codable, Sendable, Equatable {
    public var generated: ImageQuality
    /// About as many real images that training has not seen: what a perfect model would reach.
    public var heldOut: ImageQuality?
    /// Tokens that a pass of a causal model made final, in the mean.
    public var tokensPerPass: Double?
    /// What limits the figures; a line each.
    public var notes: [String]
}

/// What one image takes, in the mean over some.
public struct RowCost: Codable, Sendable, Equatable {
    public var launches: Double
    public var flops: Double
    public var bytes: Double
    /// Parts of the time in kernels: the rest is the loop's.
    public var stageShare: Double
    public var headShare: Double
    /// Part of a profiled image's time that is not in kernels: launching, and waiting for the host.
    public var outsideKernels: Double

    public var loopShare: Double { max(0, 1 - stageShare - headShare) }
}

/// Images that are drawn together.
public struct BatchTiming: Codable, Sendable, Equatable {
    public var images: Int
    public var timing: Timing

    public var imagesPerSecond: Double { timing.median > 0 ? Double(images) / timing.median : 0 }
}

/// How much faster a row is than its baseline.
public struct SpeedUp: Codable, Sendable, Equatable {
    /// Of the medians.
    public var ratio: Double
    /// Of the ratios of neighbouring draws.
    public var lowerQuartile: Double
    public var upperQuartile: Double
}

/// One image of a row, and of its baseline right after it, again and again: what else the machine does hits both alike.
public struct PairedTiming: Codable, Sendable, Equatable {
    public var own: Timing
    public var baseline: Timing
    public var speedUp: SpeedUp

    /// Of as many seconds of the row as of its baseline, in the order in which they were drawn.
    init(own: [Double], baseline: [Double]) {
        (self.own, self.baseline) = (Timing(own), Timing(baseline))
        let ratios = Timing(zip(own, baseline).map { $0 > 0 ? $1 / $0 : 0 })
        speedUp = SpeedUp(
            ratio: self.own.median > 0 ? self.baseline.median / self.own.median : 0, lowerQuartile: ratios.lowerQuartile,
            upperQuartile: ratios.upperQuartile)
    }

    /// Draws both in turns. The bodies take the number of the image.
    init(repetitions: Int, own: (Int) throws -> Void, baseline: (Int) throws -> Void) rethrows {
        var times: (own: [Double], baseline: [Double]) = ([], [])
        try measure(repetitions: repetitions) { number in
            times.own.append(try seconds { try own(number) })
            times.baseline.append(try seconds { try baseline(number) })
        }
        self.init(own: times.own, baseline: times.baseline)
    }
}

/// All that is known of a row so far.
public struct RowFigures: Sendable, Equatable {
    public var quality: RowQuality?
    public var cost: RowCost?
    public var batches: [BatchTiming]?
    /// One image.
    public var timing: Timing?
    /// Nil for a baseline, and so is the time that its baseline took beside it.
    public var speedUp: SpeedUp?
    public var baselineTiming: Timing?
    /// Some of the images, as a PNG.
    public var grid: [UInt8]?

    public init() {}

    /// The batch of the most images a second.
    public var bestBatch: BatchTiming? { batches?.max { $0.imagesPerSecond < $1.imagesPerSecond } }
}
