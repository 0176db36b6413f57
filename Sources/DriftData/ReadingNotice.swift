import DriftFormats
import Foundation
import Synchronization

/// Says now and then how far the reading of pictures is, where it takes so long that one would think nothing happens.
package final class ReadingNotice: Sendable {
    private let first: Double
    private let interval: Double
    private let report: @Sendable (String) -> Void
    private let done = Atomic(0)
    private let timer = Mutex<Timer?>(nil)

    /// The timer of a reading in progress; touched under the lock alone.
    private struct Timer: @unchecked Sendable {
        let source: any DispatchSourceTimer
    }

    /// - Parameters:
    ///   - first: seconds before the first line.
    ///   - interval: seconds between two lines.
    ///   - report: told each line; standard error by default.
    init(
        first: Double = 2, interval: Double = 10,
        report: @escaping @Sendable (String) -> Void = { ProgressLine.writeToStandardError($0 + "\n") }
    ) {
        (self.first, self.interval, self.report) = (first, interval, report)
    }

    func begin(total: Int) {
        done.store(0, ordering: .relaxed)
        let source = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "driftgpu.reading"))
        source.schedule(deadline: .now() + first, repeating: interval)
        source.setEventHandler { [self] in report("reading pictures: \(done.load(ordering: .relaxed)) of \(total)") }
        source.resume()
        timer.withLock { $0 = Timer(source: source) }
    }

    func countOne() { done.add(1, ordering: .relaxed) }

    func end() {
        timer.withLock {
            $0?.source.cancel()
            $0 = nil
        }
    }
}
