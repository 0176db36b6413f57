import DriftData
import Foundation
import Synchronization

/// How fast pictures are read, decoded and brought to the size that a model takes, without a device and without the steps of training.
public struct DataBenchmark: Sendable {
    public let threads: Int
    public let images: Int
    /// Of the pictures' files.
    public let bytes: Int
    public let seconds: Double

    public var imagesPerSecond: Double { Double(images) / seconds }
    public var bytesPerSecond: Double { Double(bytes) / seconds }

    /// Reads images of the set for about so many seconds, evenly spread and again and again where it has few. Those it has time for are
    /// read once before, so that it is not the disk that is timed.
    public init(_ set: ImageSet, threads: Int, seconds limit: Double = 3) throws {
        // Files lie by class, and of one class all can be alike: a stride that meets every image.
        let stride = ((set.count / 7)..<max(1, set.count)).first { Self.greatestDivisor($0, set.count) == 1 } ?? 1
        @Sendable func image(_ turn: Int) -> DrawnImage { DrawnImage(index: turn % set.count * stride % set.count, variant: .plain) }
        func pass(until limit: Double, atMost most: Int) throws -> (images: Int, seconds: Double) {
            let next = Atomic(0)
            let done = Atomic(0)
            let failure = Mutex<(any Error)?>(nil)
            let begin = ContinuousClock.now
            DispatchQueue.concurrentPerform(iterations: threads) { _ in
                let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: set.byteCount, alignment: 16)
                defer { stored.deallocate() }
                while (ContinuousClock.now - begin) / .seconds(1) < limit {
                    let turn = next.add(1, ordering: .relaxed).oldValue
                    guard turn < most else { break }
                    do { try set.readStored(image(turn), to: stored) } catch {
                        failure.withLock { $0 = error }
                        break
                    }
                    done.add(1, ordering: .relaxed)
                }
            }
            if let error = failure.withLock({ $0 }) { throw error }
            return (done.load(ordering: .relaxed), (ContinuousClock.now - begin) / .seconds(1))
        }
        _ = try pass(until: limit, atMost: set.count)
        let timed = try pass(until: limit, atMost: .max)
        self.threads = threads
        (images, seconds) = timed
        let all = try (0..<min(set.count, timed.images)).map { try set.storedBytes(image($0).index) }
        bytes = all.isEmpty ? 0 : Int(Double(all.reduce(0, +)) / Double(all.count) * Double(timed.images))
    }

    private static func greatestDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestDivisor(b, a % b) }
}
