import DriftFormats

/// Where the images of a set are read from; asked by several threads at once.
package protocol ImageReader: Sendable {
    /// Whether one image can be broken and the others fine. Where not, an error of `read` concerns them all.
    var mayBreak: Bool { get }
    /// How it gives its images.
    var form: ImageForm { get }
    /// Writes image `row` to a buffer of exactly the bytes that its values take in `form`.
    func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws
    /// Size in bytes of the image's own file; 0 where images share files or lie in memory.
    func storedBytes(_ row: Int) throws -> Int
}

extension ImageReader {
    package func storedBytes(_ row: Int) throws -> Int { 0 }
}

/// An image to be read, and how.
public struct DrawnImage: Sendable, Hashable {
    public let index: Int
    public let variant: ImageVariant

    package init(index: Int, variant: ImageVariant) {
        (self.index, self.variant) = (index, variant)
    }
}

/// Labelled images of one shape that are read when they are needed.
public struct ImageSet: Sendable {
    /// Channels that the model sees; moments hold twice as many.
    public let channels: Int
    public let height: Int
    public let width: Int
    public var form: ImageForm { reader.form }
    /// The class of each image.
    public let index: LabelIndex
    /// How images are varied when they are drawn.
    public let augmentation: Augmentation
    /// Images found to be unreadable.
    package let broken = BrokenImages()
    private let reader: any ImageReader
    /// The reader's number of each image.
    private let rows: [Int]

    /// Random variation of drawn images.
    public struct Augmentation: Sendable, Equatable {
        /// Mirrors every other image, at random.
        public var flip = false
        public var crop = ImageTransform.Crop.centre

        public init(flip: Bool = false, crop: ImageTransform.Crop = .centre) { (self.flip, self.crop) = (flip, crop) }
    }

    package init(
        _ reader: any ImageReader, shape: ImageTransform, index: LabelIndex, rows: [Int]? = nil, augmentation: Augmentation
    ) {
        (channels, height, width) = (shape.channels, shape.height, shape.width)
        self.index = index
        self.augmentation = augmentation
        self.reader = reader
        self.rows = rows ?? Array(0..<index.count)
    }

    /// The images of a data set in memory.
    public init(_ data: Dataset, augmentation: Augmentation = Augmentation()) {
        self.init(
            DatasetImages(data: data),
            shape: ImageTransform(channels: data.channels, height: data.height, width: data.width), index: data.index,
            augmentation: augmentation)
    }

    public var count: Int { index.count }
    public var classNames: [String] { index.classNames }
    public var classCount: Int { index.classCount }
    /// Values that are stored of an image.
    public var valueCount: Int { (form.arePixels ? 1 : 2) * channels * height * width }
    /// Bytes that these take.
    package var byteCount: Int { valueCount * form.bytesPerValue }
    /// Size in bytes of the image's own file; 0 where images share files or lie in memory.
    package func storedBytes(_ index: Int) throws -> Int { try reader.storedBytes(rows[index]) }
    /// Whether a broken image is passed over.
    package var mayBreak: Bool { reader.mayBreak }

    /// The images of those indices as a set of their own, with the same classes.
    package func subset(_ indices: [Int]) throws -> ImageSet {
        try taking(indices, labels: indices.map { index.labels[$0] }, classNames)
    }

    private func taking(_ indices: [Int], labels: [Int32], _ classNames: [String]) throws -> ImageSet {
        ImageSet(
            reader, shape: ImageTransform(channels: channels, height: height, width: width),
            index: try LabelIndex(labels: labels, classNames: classNames), rows: indices.map { rows[$0] }, augmentation: augmentation)
    }

    /// A share of every class held out (`LabelIndex.split`); nothing where `every` is 0.
    package func split(holdingOut every: Int) throws -> (training: ImageSet, heldOut: ImageSet) {
        if every == 0 { return (self, try subset([])) }
        let part = try index.split(holdingOut: every)
        return (try subset(part.training), try subset(part.heldOut))
    }

    /// The images of those classes alone, which are numbered anew in that order.
    func keeping(_ classes: [Int]) throws -> ImageSet {
        var places = [Int32?](repeating: nil, count: classCount)
        for (place, label) in classes.enumerated() { places[label] = Int32(place) }
        let indices = index.labels.indices.filter { places[Int(index.labels[$0])] != nil }
        let labels = indices.compactMap { places[Int(index.labels[$0])] }
        return try taking(indices, labels: labels, classes.map { classNames[$0] })
    }

    /// Writes an image as it is stored to a buffer of `byteCount` bytes. In the place of one that cannot be read stands the
    /// next of its class that can, always the same. Throws where a class has none.
    package func readStored(_ image: DrawnImage, to buffer: UnsafeMutableRawBufferPointer) throws {
        if try !isRead(image, to: buffer) { try findStandIn(for: image) { try isRead($0, to: buffer) } }
    }

    /// Writes an image as it is stored; false where it is broken.
    func isRead(_ image: DrawnImage, to buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
        if broken.contains(image.index) { return false }
        do {
            try reader.read(rows[image.index], image.variant, to: buffer)
            return true
        } catch where reader.mayBreak {
            broken.insert(image.index, "\(error)")
            return false
        }
    }

    /// Offers the images that can stand in the place of a broken one, in their order, until `isTaken` takes one.
    func findStandIn(for image: DrawnImage, isTaken: (DrawnImage) throws -> Bool) throws {
        let label = Int(index.labels[image.index])
        let members = index.members[label]
        let position = members.firstIndex(of: image.index) ?? 0
        for next in members[(position + 1)...] + members[..<position]
        where try isTaken(DrawnImage(index: next, variant: image.variant)) {
            return
        }
        throw DataError("none of its \(members.count) images can be read", at: "class \(classNames[label])",
                        fix: "replace the images or remove the class")
    }
}

/// Images in memory, as they are.
private struct DatasetImages: ImageReader {
    let data: Dataset
    var mayBreak: Bool { false }
    var form: ImageForm { .pixels }

    func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        let buffer = buffer.bindMemory(to: Float.self)
        try data.gather([row], into: buffer)
        guard variant.isFlipped else { return }
        for start in stride(from: 0, to: buffer.count, by: data.width) {
            var line = UnsafeMutableBufferPointer(rebasing: buffer[start..<(start + data.width)])
            line.reverse()
        }
    }
}
