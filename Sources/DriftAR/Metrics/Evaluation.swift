import DriftData
import DriftFormats
import DriftReport

/// How good generated images are: figures of them and of held-out real images, which a perfect generator would reach, both
/// measured against the real training images.
public struct Evaluation: Sendable {
    /// One of the sets that are judged.
    public struct Column: Sendable {
        /// `generated` or `held-out`.
        public let title: String
        /// Images judged.
        public let count: Int
        /// Nil where there are no training images to compare with.
        public let images: ImageFigures?
        /// Nil where no feature space was given.
        public let features: FeatureFigures?
    }

    public let columns: [Column]
    /// Name of the feature space in use.
    public let space: String?
    /// What limits the figures: a line each.
    public let notes: [String]

    /// Measures generated and, where there are any, held-out images in pixels and, where one is given, in a feature space. Of more
    /// held-out images than were generated, about as many are taken: a Frechet distance depends on the number of images.
    /// `reference` stands for the training images' features where it is given.
    public init(
        generated: Dataset, training: Dataset, heldOut: Dataset, space: (any FeatureSpace)? = nil,
        reference: FeatureReference? = nil
    ) throws {
        self.space = space?.name
        let real = try space.map { try reference ?? FeatureReference($0.features(of: training).features) }
        let held = heldOut.count == 0 ? [] : [("held-out", try heldOut.spread(generated.count))]
        columns = try ([("generated", generated)] + held).map { title, set in
            Column(
                title: title, count: set.count, images: try ImageFigures(of: set, against: training),
                features: try Self.figures(of: set, space, against: real))
        }
        notes = Self.notes(columns, classes: training.classCount, generated: generated, real: real)
    }

    /// Measures generated images against statistics of features alone.
    public init(generated: Dataset, space: any FeatureSpace, reference: FeatureReference) throws {
        self.space = space.name
        let features = try Self.figures(of: generated, space, against: reference)
        columns = [Column(title: "generated", count: generated.count, images: nil, features: features)]
        notes = Self.notes(columns, classes: generated.classCount, generated: generated, real: reference)
    }

    private static func notes(_ columns: [Column], classes: Int, generated: Dataset, real: FeatureReference?) -> [String] {
        var notes: [String] = []
        let empty = generated.members.prefix(classes).count(where: \.isEmpty)
        if empty > 0 { notes.append("\(empty) of \(counted(classes, "class", "classes")) have no image to judge") }
        for column in columns {
            if let images = column.images, images.notFinite > 0 {
                notes.append(
                    "\(images.notFinite) of \(column.count) \(column.title) images are not finite: they count as wrong and not towards other figures")
            } else if let features = column.features, features.notFinite > 0 {
                notes.append(
                    "\(features.notFinite) of \(column.count) \(column.title) images have features that are not finite: left out of the figures")
            }
        }
        // As few held-out images are taken as were generated: they are limited in the same way.
        guard let judged = columns.first else { return notes }
        let varied = judged.images?.classDiversity.count { $0 != nil }
        if let varied, varied < classes - empty {
            notes.append("diversity is that of \(varied) of \(counted(classes, "class", "classes")): it takes two images of a class")
        }
        guard let features = judged.features else { return notes }
        if features.frechet == nil {
            notes.append("no Frechet distance of \(counted(features.count, "image")): a covariance takes 2 or more")
        } else if features.count <= features.width {
            notes.append(
                "\(features.count) images for \(features.width) features: the Frechet distance is too large by far; compare it with sets of as many images alone")
        }
        if features.precisionRecall == nil, real?.features != nil, features.frechet != nil {
            notes.append("\(counted(features.count, "image")): precision and recall take 4 or more")
        }
        if let own = real?.features, own.count <= own.width {
            notes.append("\(own.count) real images for \(own.width) features: the Frechet distance is too large by far")
        }
        return notes
    }

    private static func figures(
        of set: Dataset, _ space: (any FeatureSpace)?, against real: FeatureReference?
    ) throws -> FeatureFigures? {
        guard let space, let real else { return nil }
        return try FeatureFigures(space.features(of: set), labels: set.labels, in: space, against: real)
    }
}

extension Dataset {
    /// About `limit` of the images where there are more: the same share of each class, one at least, evenly spread.
    func spread(_ limit: Int) throws -> Dataset {
        guard limit < count else { return self }
        let kept = members.flatMap { members in
            let share = min(members.count, max(1, (members.count * limit + count / 2) / count))
            return (0..<share).map { members[$0 * members.count / share] }
        }
        return try subset(kept.sorted())
    }
}

extension Evaluation: CustomStringConvertible {
    /// A figure with its name in JSON, its title in the table, and how it is shown there.
    private struct Figure: Sendable {
        let key: String
        let title: String
        var digits = 3
        var factor = 1.0
        var unit = ""
        /// Value and, where it is a mean, its standard deviation.
        let value: @Sendable (Column) -> (Double, deviation: Double?)?

        func text(_ column: Column) -> String {
            guard let (value, deviation) = value(column) else { return "-" }
            let spread = deviation.map { " +- " + NumberText.fixed($0 * factor, digits) } ?? ""
            return NumberText.fixed(value * factor, digits) + spread + unit
        }
    }

    private static func plain(_ value: Double?) -> (Double, deviation: Double?)? { value.map { ($0, nil) } }

    private static let general = [
        Figure(key: "images", title: "images", digits: 0) { (Double($0.count), nil) }
    ]
    private static let inPixels = [
        Figure(key: "accuracy_1_nearest", title: "class accuracy (1 nearest)", digits: 1, factor: 100, unit: " %") {
            plain($0.images?.accuracy)
        },
        Figure(key: "diversity", title: "within-class diversity ratio") { plain($0.images?.diversity) },
        Figure(key: "nearest_distance", title: "distance to nearest real image") { plain($0.images?.nearestDistance) },
        Figure(key: "images_not_finite", title: "images not finite", digits: 0) { column in
            plain(column.images.flatMap { $0.notFinite > 0 ? Double($0.notFinite) : nil })
        },
    ]
    private static let inFeatures = [
        Figure(key: "frechet_distance", title: "Frechet distance") { plain($0.features?.frechet) },
        Figure(key: "kernel_distance", title: "kernel distance x 1000", factor: 1000) { column in
            column.features?.kernel.map { ($0.mean, $0.deviation) }
        },
        Figure(key: "precision", title: "precision") { plain($0.features?.precisionRecall?.precision) },
        Figure(key: "recall", title: "recall") { plain($0.features?.precisionRecall?.recall) },
        Figure(key: "accuracy", title: "class accuracy", digits: 1, factor: 100, unit: " %") { plain($0.features?.accuracy) },
        Figure(key: "inception_score", title: "Inception Score") { column in
            column.features?.inceptionScore.map { ($0.mean, $0.deviation) }
        },
        Figure(key: "features_not_finite", title: "features not finite", digits: 0) { column in
            plain(column.features.flatMap { $0.notFinite > 0 ? Double($0.notFinite) : nil })
        },
    ]

    /// Figures that at least one column has.
    private func known(_ figures: [Figure]) -> [Figure] {
        figures.filter { figure in columns.contains { figure.value($0) != nil } }
    }

    /// A table: the figures of each set beside those of the others.
    public var description: String {
        let (first, other) = (34, 18)
        func line(_ title: String, _ cells: [String]) -> String {
            title + String(repeating: " ", count: max(0, first - title.count))
                + cells.map { String(repeating: " ", count: max(1, other - $0.count)) + $0 }.joined()
        }
        func lines(_ figures: [Figure], indent: String = "") -> [String] {
            known(figures).map { figure in line(indent + figure.title, columns.map(figure.text)) }
        }
        var result = [line("", columns.map(\.title))] + lines(Self.general) + lines(Self.inPixels)
        if let space { result += ["in the features of \(space)"] + lines(Self.inFeatures, indent: "  ") }
        return result.joined(separator: "\n")
    }

    /// The same figures, each set an object, and the notes; NAME_deviation beside a figure that is a mean.
    public var json: JSON { json([], notes: notes) }

    /// The same with `first` before them and other notes.
    public func json(_ first: [JSON.Member], notes: [String]) -> JSON {
        func object(_ column: Column, _ figures: [Figure]) -> [JSON.Member] {
            known(figures).flatMap { figure -> [JSON.Member] in
                guard let (value, deviation) = figure.value(column) else { return [JSON.Member(figure.key, .null)] }
                return [JSON.Member(figure.key, .number(value))]
                    + (deviation.map { [JSON.Member(figure.key + "_deviation", .number($0))] } ?? [])
            }
        }
        let sets = columns.map { column in
            let features = space == nil ? [] : object(column, Self.inFeatures)
            return JSON.Member(
                column.title.replacing("-", with: "_"),
                .object(object(column, Self.general) + object(column, Self.inPixels) + features))
        }
        let remarks = notes.isEmpty ? [] : [JSON.Member("notes", .array(notes.map { .string($0) }))]
        return .object(first + (space.map { [JSON.Member("features", .string($0))] } ?? []) + sets + remarks)
    }
}
