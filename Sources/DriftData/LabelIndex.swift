import DriftFormats

/// Which image belongs to which class, and the draws that follow from it.
public struct LabelIndex: Sendable {
    /// The class of each image, 0..<classCount.
    public let labels: [Int32]
    /// A name for each class.
    public let classNames: [String]
    /// Indices of the images of each class, ascending.
    public let members: [[Int]]

    /// - Parameter name: what errors call the data.
    public init(labels: [Int32], classNames: [String], name: String = "data set") throws {
        var members = [[Int]](repeating: [], count: classNames.count)
        for (i, label) in labels.enumerated() {
            guard members.indices.contains(Int(label)) else {
                throw DataError("image \(i) has the label \(label), the classes are 0..<\(classNames.count)", at: name,
                                fix: "correct the label or name all classes")
            }
            members[Int(label)].append(i)
        }
        self.labels = labels
        self.classNames = classNames
        self.members = members
    }

    /// Number of images.
    public var count: Int { labels.count }
    public var classCount: Int { classNames.count }

    /// Indices for training and of what is held out of every class, both ascending.
    ///
    /// The split depends on the data's order alone: within each class the images number `every` - 1, 2 `every` - 1, ...
    /// are held out.
    public func split(holdingOut every: Int) throws -> (training: [Int], heldOut: [Int]) {
        guard every >= 2 else {
            throw DataError("one image in \(every) cannot be held out", at: "data set", fix: "hold out one in 2 or more")
        }
        var held = [Bool](repeating: false, count: count)
        for list in members {
            for (rank, i) in list.enumerated() where rank % every == every - 1 { held[i] = true }
        }
        return (labels.indices.filter { !held[$0] }, labels.indices.filter { held[$0] })
    }

    private enum Stream {
        static let images: UInt32 = 0x1001_0000
        static let labels: UInt32 = 0x1002_0000
    }

    /// Indices of `perLabel` images for each of the labels, [labels.count, perLabel], in random order.
    ///
    /// Distinct images while the class has that many, otherwise with replacement. A draw depends on the seed, the step,
    /// the label and how often the label came before in `labels`, and on nothing else: a resumed run draws the same.
    public func draw(labels: [Int], perLabel: Int, seed: UInt64, step: Int) throws -> [Int] {
        guard perLabel >= 0 else {
            throw DataError("\(perLabel) images per label", at: "data set", fix: "draw at least none")
        }
        let random = Philox(seed: seed)
        var occurrences: [Int: UInt64] = [:]
        var indices: [Int] = []
        indices.reserveCapacity(labels.count * perLabel)
        for label in labels {
            guard members.indices.contains(label), !members[label].isEmpty else {
                throw DataError("no images of class \(label)", at: "data set",
                                fix: "choose a class with images, or add some")
            }
            let occurrence = occurrences[label, default: 0]
            occurrences[label] = occurrence + 1
            // Step and occurrence share the 64-bit half of the counter: 2^40 steps, 2^24 occurrences.
            let step = UInt64(truncatingIfNeeded: step) ^ occurrence << 40
            let stream = Stream.images &+ UInt32(truncatingIfNeeded: label)
            let members = members[label]
            if members.count < perLabel {
                for k in 0..<perLabel {
                    let element = UInt32(truncatingIfNeeded: k)
                    indices.append(members[random.below(members.count, stream: stream, step: step, element: element)])
                }
            } else {
                indices += random.draw(perLabel, of: members.count, stream: stream, step: step).map { members[$0] }
            }
        }
        return indices
    }

    /// `count` distinct labels of classes that have images, in random order; all of them where there are not more.
    public func drawLabels(_ count: Int, seed: UInt64, step: Int) -> [Int] {
        let classes = members.indices.filter { !members[$0].isEmpty }
        return Philox(seed: seed)
            .draw(max(count, 0), of: classes.count, stream: Stream.labels, step: UInt64(truncatingIfNeeded: step))
            .map { classes[$0] }
    }
}
