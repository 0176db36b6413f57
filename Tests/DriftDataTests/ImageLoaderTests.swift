import Foundation
import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

@Suite struct ImageLoaderTests {
    /// Images whose every value is their number; counts reads, may be slow or fail.
    private final class Numbers: ImageReader, @unchecked Sendable {
        private let lock = NSLock()
        private var reads = 0
        let failing: Int?
        let delay: Double
        let mayBreak: Bool

        init(failing: Int? = nil, delay: Double = 0, mayBreak: Bool = false) {
            (self.failing, self.delay, self.mayBreak) = (failing, delay, mayBreak)
        }

        var readCount: Int { lock.withLock { reads } }

        var form: ImageForm { .pixels }

        func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
            lock.withLock { reads += 1 }
            if delay > 0 { Thread.sleep(forTimeInterval: delay * Double(1 + row % 3)) }
            if row == failing { throw DataError("unreadable", at: "image \(row)", fix: "none") }
            buffer.bindMemory(to: Float.self).update(repeating: Float(row))
        }

        func set(_ count: Int) throws -> ImageSet {
            ImageSet(
                self, shape: ImageTransform(channels: 1, height: 1, width: 2),
                index: try LabelIndex(labels: [Int32](repeating: 0, count: count), classNames: ["a"]),
                augmentation: ImageSet.Augmentation())
        }
    }

    private static func images(_ step: Int) -> [DrawnImage] {
        (0..<(7 + step % 4)).map { DrawnImage(index: (step * 13 + $0) % 50, variant: .plain) }
    }

    private func loader(
        _ reader: Numbers, first: Int = 0, depth: Int = 3, threads: Int = 4, room: PlainRoom? = nil
    ) throws -> ImageLoader {
        ImageLoader(
            try reader.set(50), capacity: 10, first: first, depth: depth, threads: threads, room: room ?? PlainRoom(depth * 80)
        ) { Self.images($0) }
    }

    @Test(arguments: [(1, 1), (1, 5), (4, 1), (3, 8)]) func givesEachStepItsImagesInOrder(_ depth: Int, _ threads: Int) throws {
        let room = PlainRoom(depth * 80)
        let loader = try loader(Numbers(delay: 0.0002), first: 5, depth: depth, threads: threads, room: room)
        for step in 5..<60 {
            let range = try loader.take(step)
            // Not released yet: nobody may write there.
            if step % 10 == 0 { Thread.sleep(forTimeInterval: 0.005) }
            #expect(room.floats(range) == Self.images(step).flatMap { [Float($0.index), Float($0.index)] })
            loader.release(step)
        }
    }

    @Test func readsNoFurtherAheadThanItsDepth() throws {
        let reader = Numbers()
        let loader = try loader(reader, depth: 2)
        // Steps 0 and 1 take 7 and 8 images.
        for _ in 0..<200 where reader.readCount < 15 { Thread.sleep(forTimeInterval: 0.01) }
        Thread.sleep(forTimeInterval: 0.1)
        #expect(reader.readCount == 15)
        try loader.skip(0)
        for _ in 0..<200 where reader.readCount < 24 { Thread.sleep(forTimeInterval: 0.01) }
        Thread.sleep(forTimeInterval: 0.1)
        #expect(reader.readCount == 24)
    }

    @Test func anErrorEndsTheWaiting() throws {
        let loader = try loader(Numbers(failing: 28))
        // Image 28 belongs to step 2: those before it are had.
        for step in 0..<2 { try loader.skip(step) }
        for _ in 0..<2 { #expect(errorText { try loader.skip(2) }?.contains("image 28: unreadable") == true) }
    }

    @Test func aDrawThatFailsOrIsTooLargeIsAnError() throws {
        let set = try Numbers().set(50)
        let failing = ImageLoader(set, capacity: 4, first: 0, threads: 2, room: PlainRoom(128)) { step in
            throw DataError("no draw", at: "step \(step)", fix: "none")
        }
        #expect(errorText { try failing.skip(0) }?.contains("no draw") == true)
        let large = ImageLoader(set, capacity: 4, first: 0, threads: 2, room: PlainRoom(128)) { Self.images($0) }
        #expect(errorText { try large.skip(0) }?.contains("7 images where 4 have room") == true)
        let ordered = try loader(Numbers())
        #expect(errorText { try ordered.skip(3) }?.contains("out of order") == true)
    }

    @Test func stopsWhileThreadsAreAtWork() throws {
        for threads in [1, 8] {
            for taken in 0..<3 {
                let reader = Numbers(delay: 0.002)
                var loader: ImageLoader? = try loader(reader, threads: threads)
                for step in 0..<taken { try loader?.skip(step) }
                loader = nil
                let count = reader.readCount
                Thread.sleep(forTimeInterval: 0.02)
                #expect(reader.readCount == count, "no thread reads after the loader is gone")
            }
        }
    }

    @Test func measuresItsWaiting() throws {
        let slow = try loader(Numbers(delay: 0.01), threads: 1)
        try slow.skip(0)
        #expect(slow.waited > .milliseconds(20))
        let quick = try loader(Numbers(), threads: 1)
        Thread.sleep(forTimeInterval: 0.3)
        try quick.skip(0)
        #expect(quick.waited < slow.waited)
    }

    @Test func brokenImagesAreReplacedNotFatal() throws {
        let reader = Numbers(failing: 3, mayBreak: true)
        let room = PlainRoom(240)
        let loader = try loader(reader, room: room)
        let values = try room.floats(loader.take(0))
        #expect(values == [0, 1, 2, 4, 4, 5, 6].flatMap { [Float($0), Float($0)] })
    }
}

/// Memory for a loader without a device.
private final class PlainRoom: ImageRoom, @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ byteCount: Int) {
        bytes = .allocate(byteCount: byteCount, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { bytes.deallocate() }

    /// The bytes of a range, as floats.
    func floats(_ range: Range<Int>) -> [Float] {
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[range]).bindMemory(to: Float.self).map { $0 }
    }
}

extension ImageLoader {
    /// Takes a step and gives it back.
    fileprivate func skip(_ step: Int) throws {
        _ = try take(step)
        release(step)
    }
}
