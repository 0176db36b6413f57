import DriftFormats

/// Labelled images in memory.
public struct Dataset: Sendable {
    /// Values [N, C, H, W], by convention in [-1, 1].
    public let images: [Float]
    public let channels: Int
    public let height: Int
    public let width: Int
    /// The class of each image.
    public let index: LabelIndex

    /// - Parameter name: what errors call the data.
    public init(images: [Float], shape: [Int], labels: [Int32], classNames: [String], name: String = "data set") throws {
        guard shape.count == 4, NamedTensor.elementCount(of: shape) == images.count,
              shape[1...].allSatisfy({ $0 > 0 }), shape[0] == labels.count
        else {
            throw DataError("\(images.count) values and \(labels.count) labels for images of the shape \(shape)", at: name,
                            fix: "give [N, C, H, W] values and N labels")
        }
        index = try LabelIndex(labels: labels, classNames: classNames, name: name)
        self.images = images
        (channels, height, width) = (shape[1], shape[2], shape[3])
    }

    /// The class of each image, 0..<classCount.
    public var labels: [Int32] { index.labels }
    /// A name for each class.
    public var classNames: [String] { index.classNames }
    /// Indices of the images of each class, ascending.
    public var members: [[Int]] { index.members }
    /// Number of images.
    public var count: Int { index.count }
    public var classCount: Int { index.classCount }
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
        let part = try index.split(holdingOut: every)
        return (try subset(part.training), try subset(part.heldOut))
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
}
