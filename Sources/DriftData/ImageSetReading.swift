import DriftFormats
import Foundation
import Synchronization

extension ImageSet {
    /// Reads all images as they are stored, by all cores, and hands them over in blocks: the index of the first and the bytes of the
    /// block [n, byteCount]. Bounded memory, whatever the set's size. Where pictures take long to read, `notice` says how far it is.
    package func forEachBlock(
        flipped: Bool, notice: ReadingNotice = ReadingNotice(), _ body: (Int, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let size = byteCount
        let length = max(1, min(count, (32 << 20) / size))
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: length * size, alignment: 16)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        if mayBreak { notice.begin(total: count) }
        defer { notice.end() }
        for start in stride(from: 0, to: count, by: length) {
            let block = UnsafeMutableRawBufferPointer(rebasing: bytes[..<((min(start + length, count) - start) * size)])
            let images = (start..<min(start + length, count)).map {
                DrawnImage(index: $0, variant: ImageVariant(isFlipped: flipped))
            }
            try readStored(images, to: block, notice: notice)
            try body(start, UnsafeRawBufferPointer(block))
        }
    }

    /// Reads the values of the images one after the other into a buffer of exactly their number, by all cores: pixels in [-1, 1],
    /// or moments.
    package func read(_ images: [DrawnImage], to values: UnsafeMutableBufferPointer<Float>) throws {
        if form.bytesPerValue == 4 { return try readStored(images, to: UnsafeMutableRawBufferPointer(values)) }
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: images.count * byteCount, alignment: 16)
        defer { stored.deallocate() }
        try readStored(images, to: stored)
        form.write(UnsafeRawBufferPointer(stored), to: values)
    }

    /// Reads the images as they are stored, one after the other, into a buffer of exactly their bytes, by all cores. An image that
    /// stands in the place of several broken ones is read once.
    private func readStored(_ images: [DrawnImage], to buffer: UnsafeMutableRawBufferPointer, notice: ReadingNotice? = nil) throws {
        let size = byteCount
        let target = SharedBytes(buffer)
        @Sendable func part(_ i: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: target.buffer[(i * size)..<((i + 1) * size)])
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
                    part(i).copyMemory(from: UnsafeRawBufferPointer(part(place)))
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
        guard form.arePixels else {
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
        var values = [Float](repeating: 0, count: part.count * valueCount)
        try values.withUnsafeMutableBufferPointer { values in
            try part.forEachBlock(flipped: false) { first, block in
                let range = (first * valueCount)..<(first * valueCount + block.count / form.bytesPerValue)
                form.write(block, to: UnsafeMutableBufferPointer(rebasing: values[range]))
            }
        }
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

/// Bytes of which each is written by one thread only.
private struct SharedBytes: @unchecked Sendable {
    let buffer: UnsafeMutableRawBufferPointer

    init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }
}
