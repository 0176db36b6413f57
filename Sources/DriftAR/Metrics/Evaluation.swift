/// How good generated images are, measured against real ones in pixel space.
public struct Evaluation: Sendable {
    /// The figures of one set of images.
    public struct Figures: Sendable, Equatable {
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
    }

    public let generated: Figures
    /// The same figures of real images that were held out: what a perfect generator would reach.
    public let ceiling: Figures

    /// Images taken of a class for its diversity; more do not change the mean noticeably, and pairs are quadratic.
    public static let diversityLimit = 512

    /// Measures generated images and, as the ceiling, held-out real ones, both against the real training images.
    public init(generated: Dataset, training: Dataset, heldOut: Dataset) throws {
        self.generated = try Self.figures(of: generated, against: training)
        ceiling = try Self.figures(of: heldOut, against: training)
    }

    /// The figures of one set against real training images. Uses all cores; the same input gives the same bits.
    public static func figures(of set: Dataset, against training: Dataset) throws -> Figures {
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
        let accuracies = (0..<set.classCount).map { label in
            set.members[label].isEmpty ? nil : Double(correct[label]) / Double(set.members[label].count)
        }
        let diversities = (0..<set.classCount).map { label -> Double? in
            let own = set.members[label].filter { nearest[$0].row != nil }
            guard let ownMean = images.meanPairDistance(spread(own)),
                  let realMean = real.meanPairDistance(spread(training.members[label])), realMean > 0
            else { return nil }
            return ownMean / realMean
        }
        let known = diversities.compactMap { $0 }
        return Figures(accuracy: Double(correct.reduce(0, +)) / Double(set.count),
                       diversity: known.isEmpty ? nil : known.reduce(0, +) / Double(known.count),
                       nearestDistance: finite == 0 ? nil : distanceSum / Double(finite),
                       classAccuracy: accuracies, classDiversity: diversities, notFinite: set.count - finite)
    }

    /// At most `diversityLimit` of the indices, evenly spread.
    private static func spread(_ indices: [Int]) -> [Int] {
        let count = min(indices.count, diversityLimit)
        return (0..<count).map { indices[$0 * indices.count / count] }
    }
}

extension Evaluation: CustomStringConvertible {
    /// A small table: the figures beside their ceiling.
    public var description: String {
        func row(_ title: String, _ value: (Figures) -> String) -> String {
            let cells = [title, value(generated), value(ceiling)]
            let widths = [34, 12, 12]
            return zip(cells, widths).enumerated().map { column, cell in
                let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
                return column == 0 ? cell.0 + space : space + cell.0
            }.joined()
        }
        func show(_ value: Double?, _ digits: Int) -> String { value.map { NumberText.fixed($0, digits) } ?? "-" }
        var lines = [
            ["", "generated", "held-out"].enumerated().map { column, title in
                let space = String(repeating: " ", count: (column == 0 ? 34 : 12) - title.count)
                return column == 0 ? title + space : space + title
            }.joined(),
            row("class accuracy (1 nearest)") { show($0.accuracy * 100, 1) + " %" },
            row("within-class diversity ratio") { show($0.diversity, 3) },
            row("distance to nearest real image") { show($0.nearestDistance, 3) },
        ]
        if generated.notFinite > 0 { lines.append(row("images not finite") { String($0.notFinite) }) }
        return lines.joined(separator: "\n")
    }
}
