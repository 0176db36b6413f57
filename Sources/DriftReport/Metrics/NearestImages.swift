import DriftData
import DriftFormats

/// The images of a set that come nearest to real training images or to their mirror images, each with the one that it is nearest to: a
/// model that has learnt pictures by heart shows them here.
public struct NearestImages: Sendable {
    /// An image and what is nearest to it.
    public struct Pair: Sendable, Equatable {
        public let image: Int
        /// Of the training images.
        public let real: Int
        /// Whether it is the training image's mirror image that is nearest.
        public let isMirrored: Bool
        /// Euclidean, of all values.
        public let distance: Float
    }

    /// The nearest first.
    public let pairs: [Pair]
    private let set: Dataset
    private let training: Dataset

    /// At most `limit` of the images. An image that is not finite is in none.
    public init(of set: Dataset, in training: Dataset, limit: Int = 25) throws {
        guard set.shape[1...] == training.shape[1...], training.count > 0 else {
            throw DataError(
                "images \(set.shape) against \(training.shape)", at: "nearest images", fix: "compare images of one size")
        }
        let real = DistanceRows(training.images, rowLength: training.imageSize)
        // Two images are as far from each other as the first mirrored from the second mirrored.
        let plain = DistanceRows(set.images, rowLength: set.imageSize).nearest(in: real)
        let mirrored = DistanceRows(Self.mirrored(set.images, width: set.width), rowLength: set.imageSize).nearest(in: real)
        let all = (0..<set.count).compactMap { image -> Pair? in
            let isMirrored = mirrored[image].squared < plain[image].squared
            let nearest = isMirrored ? mirrored[image] : plain[image]
            return nearest.row.map { Pair(image: image, real: $0, isMirrored: isMirrored, distance: nearest.squared.squareRoot()) }
        }
        pairs = Array(all.sorted { ($0.distance, $0.image) < ($1.distance, $1.image) }.prefix(limit))
        (self.set, self.training) = (set, training)
    }

    private static func mirrored(_ values: [Float], width: Int) -> [Float] {
        values.indices.map { index in
            let column = index % width
            return values[index - column + width - 1 - column]
        }
    }

    /// The images, each with the nearest training image on its right, in rows of five.
    public func picture() throws -> Picture {
        let size = set.imageSize
        func image(_ data: Dataset, _ index: Int) -> [Float] { Array(data.images[(index * size)..<((index + 1) * size)]) }
        let values = pairs.flatMap { pair -> [Float] in
            let real = image(training, pair.real)
            return image(set, pair.image) + (pair.isMirrored ? Self.mirrored(real, width: set.width) : real)
        }
        return try Picture(
            grid: values, shape: [2 * pairs.count, set.channels, set.height, set.width], columns: 2 * min(5, max(1, pairs.count)),
            scale: max(1, 48 / set.height))
    }
}
