import Foundation

extension ImageSet {
    /// Reads all images, by all cores, and hands them over in blocks: the index of the first and the values of the block
    /// [n, valueCount]. Bounded memory, whatever the set's size.
    func forEachBlock(flipped: Bool, _ body: (Int, UnsafeBufferPointer<Float>) throws -> Void) throws {
        let size = valueCount
        let length = max(1, min(count, (32 << 20) / (4 * size)))
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: length * size)
        defer { values.deallocate() }
        values.initialize(repeating: 0)
        for start in stride(from: 0, to: count, by: length) {
            let block = UnsafeMutableBufferPointer(rebasing: values[..<((min(start + length, count) - start) * size)])
            let images = (start..<min(start + length, count)).map {
                DrawnImage(index: $0, variant: ImageVariant(isFlipped: flipped))
            }
            try read(images, to: block)
            try body(start, UnsafeBufferPointer(block))
        }
    }

    /// Reads the images one after the other into a buffer of exactly their values, by all cores.
    func read(_ images: [DrawnImage], to buffer: UnsafeMutableBufferPointer<Float>) throws {
        let size = valueCount
        let target = SharedValues(buffer)
        let failure = FirstFailure()
        DispatchQueue.concurrentPerform(iterations: images.count) { i in
            if failure.error != nil { return }
            let part = UnsafeMutableBufferPointer(rebasing: target.buffer[(i * size)..<((i + 1) * size)])
            failure.catching { try read(images[i], to: part) }
        }
        if let error = failure.error { throw error }
    }

    /// The images in memory: all, or `perClass` of each class evenly spread. Broken ones are left out. The images are as
    /// they are, without augmentation.
    ///
    /// - Parameter report: told of each broken image; standard error by default.
    public func dataset(perClass: Int? = nil, report: ((String) -> Void)? = nil) throws -> Dataset {
        guard form == .pixels else {
            throw DataError("latents are no images that can be compared", at: "data set",
                            fix: "name the images the latents were made of")
        }
        let chosen = perClass.map { limit in
            index.members.flatMap { members in
                let count = min(max(limit, 0), members.count)
                return (0..<count).map { members[$0 * members.count / count] }
            }.sorted()
        }
        let part = try chosen.map { try subset($0) } ?? self
        var values: [Float] = []
        values.reserveCapacity(part.count * valueCount)
        try part.forEachBlock(flipped: false) { _, block in values += block }
        var (images, labels) = (values, part.index.labels)
        if part.broken.count > 0 {
            let kept = labels.indices.filter { !part.broken.contains($0) }
            images = kept.flatMap { values[($0 * valueCount)..<(($0 + 1) * valueCount)] }
            labels = kept.map { part.index.labels[$0] }
        }
        part.broken.takeReasons().forEach(report ?? { ProgressLine.writeToStandardError($0 + "\n") })
        return try Dataset(images: images, shape: [labels.count, channels, height, width], labels: labels, classNames: classNames)
    }
}

/// Values of which each is written by one thread only.
struct SharedValues: @unchecked Sendable {
    let buffer: UnsafeMutableBufferPointer<Float>

    init(_ buffer: UnsafeMutableBufferPointer<Float>) { self.buffer = buffer }
}

/// The first error of several threads.
private final class FirstFailure: @unchecked Sendable {
    private let lock = NSLock()
    private var first: (any Error)?

    var error: (any Error)? { lock.withLock { first } }

    func catching(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            lock.withLock { first = first ?? error }
        }
    }
}
