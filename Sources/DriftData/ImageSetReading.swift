import DriftFormats
import Foundation
import Synchronization

extension ImageSet {
    /// Reads all images, by all cores, and hands them over in blocks: the index of the first and the values of the block
    /// [n, valueCount]. Bounded memory, whatever the set's size. Where pictures take long to read, `notice` says how far it is.
    package func forEachBlock(
        flipped: Bool, notice: ReadingNotice = ReadingNotice(), _ body: (Int, UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let size = valueCount
        let length = max(1, min(count, (32 << 20) / (4 * size)))
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: length * size)
        defer { values.deallocate() }
        values.initialize(repeating: 0)
        if mayBreak { notice.begin(total: count) }
        defer { notice.end() }
        for start in stride(from: 0, to: count, by: length) {
            let block = UnsafeMutableBufferPointer(rebasing: values[..<((min(start + length, count) - start) * size)])
            let images = (start..<min(start + length, count)).map {
                DrawnImage(index: $0, variant: ImageVariant(isFlipped: flipped))
            }
            try read(images, to: block, notice: notice)
            try body(start, UnsafeBufferPointer(block))
        }
    }

    /// Reads the images one after the other into a buffer of exactly their values, by all cores. An image that stands in the
    /// place of several broken ones is read once.
    package func read(_ images: [DrawnImage], to buffer: UnsafeMutableBufferPointer<Float>, notice: ReadingNotice? = nil) throws {
        let size = valueCount
        let target = SharedValues(buffer)
        @Sendable func part(_ i: Int) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(rebasing: target.buffer[(i * size)..<((i + 1) * size)])
        }
        let failure = FirstInOrder<any Error>()
        let missing = Mutex<Set<Int>>([])
        DispatchQueue.concurrentPerform(iterations: images.count) { i in
            guard failure.isOpen(at: i) else { return }
            do {
                if try !isRead(images[i], to: part(i)) { missing.withLock { _ = $0.insert(i) } }
                notice?.countOne()
            } catch {
                failure.offer(error, at: i)
            }
        }
        if let error = failure.value { throw error }
        let places = missing.withLock { $0 }
        if places.isEmpty { return }
        var known: [DrawnImage: Int] = [:]
        for i in images.indices where !places.contains(i) { known[images[i]] = i }
        for i in places.sorted() {
            try findStandIn(for: images[i]) { other in
                if let place = known[other] {
                    _ = part(i).update(fromContentsOf: part(place))
                    return true
                }
                guard try isRead(other, to: part(i)) else { return false }
                known[other] = i
                return true
            }
        }
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
