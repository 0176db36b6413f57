/// Labelled images in memory.
public struct Dataset: Sendable {
    /// Values [N, C, H, W], by convention in [-1, 1].
    public let images: [Float]
    public let channels: Int
    public let height: Int
    public let width: Int
    /// The class of each image, 0..<classCount.
    public let labels: [Int32]
    /// A name for each class.
    public let classNames: [String]
    /// Indices of the images of each class, ascending.
    public let members: [[Int]]

    /// - Parameter name: what errors call the data.
    public init(images: [Float], shape: [Int], labels: [Int32], classNames: [String], name: String = "data set") throws {
        guard shape.count == 4, NamedTensor.elementCount(of: shape) == images.count,
              shape[1...].allSatisfy({ $0 > 0 }), shape[0] == labels.count
        else {
            throw DataError("\(images.count) values and \(labels.count) labels for images of the shape \(shape)", at: name,
                            fix: "give [N, C, H, W] values and N labels")
        }
        var members = [[Int]](repeating: [], count: classNames.count)
        for (i, label) in labels.enumerated() {
            guard members.indices.contains(Int(label)) else {
                throw DataError("image \(i) has the label \(label), the classes are 0..<\(classNames.count)", at: name,
                                fix: "correct the label or name all classes")
            }
            members[Int(label)].append(i)
        }
        self.images = images
        (channels, height, width) = (shape[1], shape[2], shape[3])
        self.labels = labels
        self.classNames = classNames
        self.members = members
    }

    /// Number of images.
    public var count: Int { labels.count }
    public var classCount: Int { classNames.count }
    /// [N, C, H, W].
    public var shape: [Int] { [count, channels, height, width] }
    /// Values of one image.
    public var imageSize: Int { channels * height * width }

    /// The images of those indices as a data set of their own, with the same classes.
    public func subset(_ indices: [Int]) throws -> Dataset {
        var chosen: [Int32] = []
        for i in indices {
            guard labels.indices.contains(i) else {
                throw DataError("no image \(i) among \(count)", at: "data set", fix: "choose an index below \(count)")
            }
            chosen.append(labels[i])
        }
        return try Dataset(images: gather(indices), shape: [indices.count, channels, height, width], labels: chosen,
                           classNames: classNames)
    }

    /// A share of every class held out, the rest for training; both keep the order of the images.
    ///
    /// The split depends on the data's order alone: within each class the images number `every` - 1, 2 `every` - 1, ...
    /// are held out.
    public func split(holdingOut every: Int) throws -> (training: Dataset, heldOut: Dataset) {
        guard every >= 2 else {
            throw DataError("one image in \(every) cannot be held out", at: "data set", fix: "hold out one in 2 or more")
        }
        var held = [Bool](repeating: false, count: count)
        for list in members {
            for (rank, i) in list.enumerated() where rank % every == every - 1 { held[i] = true }
        }
        return (try subset(labels.indices.filter { !held[$0] }), try subset(labels.indices.filter { held[$0] }))
    }

    /// The images of those indices, one after the other.
    public func gather(_ indices: [Int]) throws -> [Float] {
        try [Float](unsafeUninitializedCapacity: indices.count * imageSize) { buffer, filled in
            filled = 0
            try gather(indices, into: UnsafeMutableBufferPointer(rebasing: buffer[..<(indices.count * imageSize)]))
            filled = indices.count * imageSize
        }
    }

    /// Copies the images of those indices into a buffer of exactly their size.
    public func gather(_ indices: [Int], into buffer: UnsafeMutableBufferPointer<Float>) throws {
        let size = imageSize
        guard buffer.count == indices.count * size, indices.allSatisfy({ labels.indices.contains($0) }) else {
            throw DataError("\(indices.count) of its \(count) images of \(size) values do not go into \(buffer.count) values",
                            at: "data set", fix: "draw the indices from this data set")
        }
        guard let target = buffer.baseAddress else { return }
        images.withUnsafeBufferPointer { source in
            guard let source = source.baseAddress else { return }
            for (row, i) in indices.enumerated() {
                (target + row * size).initialize(from: source + i * size, count: size)
            }
        }
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
                indices += Self.shuffled(members, perLabel, random, stream: stream, step: step)
            }
        }
        return indices
    }

    /// `count` distinct labels of classes that have images, in random order; all of them where there are not more.
    public func drawLabels(_ count: Int, seed: UInt64, step: Int) -> [Int] {
        let classes = members.indices.filter { !members[$0].isEmpty }
        return Self.shuffled(classes, min(max(count, 0), classes.count), Philox(seed: seed), stream: Stream.labels,
                             step: UInt64(truncatingIfNeeded: step))
    }

    /// The first `count` places of a Fisher-Yates shuffle.
    private static func shuffled(_ values: [Int], _ count: Int, _ random: Philox, stream: UInt32, step: UInt64) -> [Int] {
        var values = values
        for k in 0..<count {
            let other = random.below(values.count - k, stream: stream, step: step, element: UInt32(truncatingIfNeeded: k))
            values.swapAt(k, k + other)
        }
        return Array(values[..<count])
    }
}
