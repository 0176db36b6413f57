import Foundation
import Synchronization
import TestSupport
import Testing

@testable import DriftData
@testable import DriftFormats

@Suite struct ImageSetTests {
    /// Images whose every value is their number; counts the reads of each. Some are broken, or fail for good.
    private final class Numbers: ImageReader {
        let broken: Set<Int>
        let mayBreak: Bool
        let delay: Double
        private let reads = Mutex<[Int: Int]>([:])

        init(broken: Set<Int>, mayBreak: Bool = true, delay: Double = 0) {
            (self.broken, self.mayBreak, self.delay) = (broken, mayBreak, delay)
        }

        func count(_ row: Int) -> Int { reads.withLock { $0[row] ?? 0 } }

        var form: ImageForm { .pixels }

        func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
            reads.withLock { $0[row, default: 0] += 1 }
            if delay > 0 { Thread.sleep(forTimeInterval: delay) }
            if broken.contains(row) { throw DataError("unreadable", at: "image \(row)", fix: "none") }
            buffer.bindMemory(to: Float.self).update(repeating: Float(row))
        }

        /// Two classes of half the images each.
        func set(_ count: Int) throws -> ImageSet {
            ImageSet(
                self, shape: ImageTransform(channels: 1, height: 1, width: 2),
                index: try LabelIndex(labels: (0..<count).map { Int32($0 * 2 / count) }, classNames: ["a", "b"]),
                augmentation: ImageSet.Augmentation())
        }
    }

    private func values(_ set: ImageSet, notice: ReadingNotice = ReadingNotice()) throws -> [Float] {
        var values: [Float] = []
        try set.forEachBlock(flipped: false, notice: notice) { _, block in values += block.bindMemory(to: Float.self) }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] }
    }

    @Test("the neighbour of many broken pictures is read once") func readsStandInsOnce() throws {
        let reader = Numbers(broken: Set(20..<39))
        let set = try reader.set(40)
        // The class b is 20 to 39, of which 39 alone can be read.
        #expect(try values(set) == (0..<20).map(Float.init) + [Float](repeating: 39, count: 20))
        for row in 0..<40 { #expect(reader.count(row) == 1, "\(row)") }
        // One that is asked for alone, among others that do not hold its stand-in.
        var two: [Float] = [0, 0, 0, 0]
        try two.withUnsafeMutableBufferPointer { buffer in
            try set.read([25, 26].map { DrawnImage(index: $0, variant: .plain) }, to: buffer)
        }
        #expect(two == [39, 39, 39, 39] && reader.count(39) == 2)
    }

    @Test("which error is shown does not depend on the threads") func showsTheFirstError() throws {
        for _ in 0..<100 {
            let failing = try Numbers(broken: [7, 9, 30], mayBreak: false).set(40)
            #expect(errorText { _ = try values(failing) }?.hasPrefix("image 7:") == true)
            // Nothing in either class can be read.
            let broken = try Numbers(broken: Set(0..<40)).set(40)
            #expect(errorText { _ = try values(broken) }?.hasPrefix("class a: none of its 20 images") == true)
            #expect(broken.broken.takeReasons() == (0..<40).map { "skipped: image \($0): unreadable; none" })
        }
    }

    @Test("classes are kept and numbered anew") func keeps() throws {
        let set = try Numbers(broken: []).set(6)
        let kept = try set.keeping([1])
        #expect(kept.classNames == ["b"] && kept.index.labels == [0, 0, 0])
        #expect(try values(kept) == [3, 4, 5])
        #expect(try values(set.keeping([1, 0])) == [0, 1, 2, 3, 4, 5] && set.keeping([1, 0]).index.labels == [1, 1, 1, 0, 0, 0])
    }

    @Test("a line tells how far slow reading is, none where it is quick") func tellsOfSlowReading() throws {
        let lines = Lines()
        let notice = ReadingNotice(first: 0.05, interval: 0.02) { lines.append($0) }
        #expect(try values(Numbers(broken: [], delay: 0.02).set(60), notice: notice).count == 60)
        let seen = lines.all
        #expect(!seen.isEmpty && seen.allSatisfy { $0.hasPrefix("reading pictures: ") && $0.hasSuffix(" of 60") }, "\(seen)")
        let quick = Lines()
        _ = try values(Numbers(broken: []).set(60), notice: ReadingNotice(first: 30) { quick.append($0) })
        #expect(quick.all.isEmpty)
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }
}
