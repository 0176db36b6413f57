import DriftData
import DriftFormats

/// What can be said of a set of images by comparing pixels with those of real training images.
public struct ImageFigures: Sendable, Equatable {
    /// Share of images whose nearest real training image has the label they were generated for.
    public let accuracy: Double
    /// Mean distance of two images of a class, as a ratio to real images of the class, averaged over classes: 1 for
    /// data as varied as the real one, 0 for a single image repeated. Nil where no class has two images.
    public let diversity: Double?
    /// Mean distance to the nearest real training image: 0 for a copy of the training data.
    public let nearestDistance: Double?
    public let classAccuracy: [Double?]
    public let classDiversity: [Double?]
    /// Images with a value that is not finite; they count as wrong and not towards the other figures.
    public let notFinite: Int

    /// Images taken of a class for its diversity; more do not change the mean noticeably, and pairs are quadratic.
    public static let diversityLimit = 512

    /// The figures of one set against real training images. Uses all cores; the same input gives the same bits.
    public init(of set: Dataset, against training: Dataset) throws {
        guard set.shape[1...] == training.shape[1...], set.classCount == training.classCount else {
            let (left, right) = ("\(set.shape) of \(set.classCount)", "\(training.shape) of \(training.classCount)")
            throw DataError("images \(left) classes against \(right)",
                            at: "evaluation", fix: "compare images of one size and the same classes")
        }
        guard set.count > 0, training.count > 0 else {
            throw DataError("no images to compare", at: "evaluation", fix: "give at least one image on each side")
        }
        let images = DistanceRows(set.images, rowLength: set.imageSize)
        let real = DistanceRows(training.images, rowLength: training.imageSize)
        let nearest = images.nearest(in: real)
        var correct = [Int](repeating: 0, count: set.classCount)
        var distanceSum = 0.0
        var finite = 0
        for (i, found) in nearest.enumerated() {
            guard let row = found.row else { continue }
            finite += 1
            distanceSum += Double(found.squared).squareRoot()
            if training.labels[row] == set.labels[i] { correct[Int(set.labels[i])] += 1 }
        }
        classAccuracy = (0..<set.classCount).map { label in
            set.members[label].isEmpty ? nil : Double(correct[label]) / Double(set.members[label].count)
        }
        classDiversity = (0..<set.classCount).map { label -> Double? in
            let own = set.members[label].filter { nearest[$0].row != nil }
            guard let ownMean = images.meanPairDistance(Self.spread(own)),
                  let realMean = real.meanPairDistance(Self.spread(training.members[label])), realMean > 0
            else { return nil }
            return ownMean / realMean
        }
        let known = classDiversity.compactMap { $0 }
        accuracy = Double(correct.reduce(0, +)) / Double(set.count)
        diversity = known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
        nearestDistance = finite == 0 ? nil : distanceSum / Double(finite)
        notFinite = set.count - finite
    }

    /// At most `diversityLimit` of the indices, evenly spread.
    private static func spread(_ indices: [Int]) -> [Int] {
        let count = min(indices.count, diversityLimit)
        return (0..<count).map { indices[$0 * indices.count / count] }
    }
}
