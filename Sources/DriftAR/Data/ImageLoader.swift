import Foundation

/// Reads the images of coming steps ahead, on threads of its own, so that a step finds its images waiting.
///
/// Which images a step takes is known ahead from counters. At most `depth` steps are held at once: threads that are further
/// ahead wait. What a step gets, be it an error, depends on its number alone, not on the threads.
final class ImageLoader {
    private let queue: StepQueue
    /// Time that `take` has waited so far.
    private(set) var waited = Duration.zero

    /// - Parameters:
    ///   - capacity: images of a step.
    ///   - first: the step that is taken first.
    ///   - draw: the images of a step.
    init(
        _ set: ImageSet, capacity: Int, first: Int, depth: Int = 3,
        threads: Int = min(16, max(1, ProcessInfo.processInfo.activeProcessorCount)),
        draw: @escaping @Sendable (Int) throws -> [DrawnImage]
    ) {
        queue = StepQueue(set, capacity: capacity, first: first, depth: depth, draw: draw)
        for _ in 0..<threads {
            queue.threadBegins()
            let thread = Thread { [queue] in queue.work() }
            thread.name = "driftgpu.images"
            thread.start()
        }
    }

    /// Ends the threads; waits for the images they are at.
    deinit { queue.stop() }

    /// Waits for the images of `step`, hands over their values [n, valueCount], and makes room for another step. Steps are
    /// taken in order.
    func take<Result>(_ step: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
        let begin = ContinuousClock.now
        let values = try queue.wait(for: step)
        waited += ContinuousClock.now - begin
        defer { queue.release(step) }
        return try body(values)
    }
}

/// What the threads of a loader share.
private final class StepQueue: @unchecked Sendable {
    /// The images of one step on their way.
    private struct Slot {
        var step: Int
        var images: [DrawnImage]?
        var claimed = 0
        var done = 0

        var isComplete: Bool { images.map { done == $0.count } ?? false }
    }

    private let set: ImageSet
    private let draw: @Sendable (Int) throws -> [DrawnImage]
    private let depth: Int
    private let capacity: Int
    /// Room for `depth` steps; step s lies at s mod depth.
    private let values: UnsafeMutableBufferPointer<Float>
    private let condition = NSCondition()
    private var slots: [Slot] = []
    private var nextStep: Int
    /// The first step that cannot be had; those before it still can.
    private var failure: (step: Int, error: any Error)?
    private var isStopped = false
    private var threads = 0

    /// Images a thread takes at once: enough that locking costs nothing.
    private static let claim = 4

    init(
        _ set: ImageSet, capacity: Int, first: Int, depth: Int, draw: @escaping @Sendable (Int) throws -> [DrawnImage]
    ) {
        self.set = set
        self.draw = draw
        self.depth = max(1, depth)
        self.capacity = capacity
        nextStep = first
        values = .allocate(capacity: self.depth * capacity * set.valueCount)
        values.initialize(repeating: 0)
    }

    deinit { values.deallocate() }

    func threadBegins() { condition.withLock { threads += 1 } }

    func stop() {
        condition.withLock {
            isStopped = true
            condition.broadcast()
            while threads > 0 { condition.wait() }
        }
    }

    func wait(for step: Int) throws -> UnsafeBufferPointer<Float> {
        try condition.withLock {
            while true {
                if let failure, failure.step <= step { throw failure.error }
                if let slot = slots.first, slot.step == step, slot.isComplete {
                    let count = (slot.images?.count ?? 0) * set.valueCount
                    return UnsafeBufferPointer(rebasing: room(of: step)[..<count])
                }
                guard step == (slots.first?.step ?? nextStep) else {
                    throw DataError("step \(step) asked for out of order", at: "image loader", fix: "take the steps in order")
                }
                condition.wait()
            }
        }
    }

    func release(_ step: Int) {
        condition.withLock {
            slots.removeAll { $0.step == step }
            condition.broadcast()
        }
    }

    /// The life of a thread.
    func work() {
        while let task = nextTask() {
            do {
                let step = task.step
                switch task.work {
                case .draw:
                    let images = try draw(step)
                    guard images.count <= capacity else {
                        throw DataError("\(images.count) images where \(capacity) have room", at: "step \(step)", fix: "draw fewer")
                    }
                    finish(step) { $0.images = images }
                case .read(let first, let images):
                    let size = set.valueCount
                    for (i, image) in images.enumerated() {
                        let start = (first + i) * size
                        try set.read(image, to: UnsafeMutableBufferPointer(rebasing: room(of: step)[start..<(start + size)]))
                    }
                    finish(step) { $0.done += images.count }
                }
            } catch {
                condition.withLock {
                    if task.step < failure?.step ?? .max { failure = (task.step, error) }
                    condition.broadcast()
                }
            }
        }
        condition.withLock {
            threads -= 1
            condition.broadcast()
        }
    }

    private struct Task {
        enum Work {
            /// Find out which images the step takes.
            case draw
            /// Read these images, the first of which is number `first` of the step.
            case read(first: Int, images: [DrawnImage])
        }

        let step: Int
        let work: Work
    }

    /// Waits for something to do; nil when there will be nothing any more. The earliest step comes first.
    private func nextTask() -> Task? {
        condition.withLock {
            while !isStopped {
                let end = failure?.step ?? .max
                for i in slots.indices where slots[i].step < end {
                    guard let images = slots[i].images, slots[i].claimed < images.count else { continue }
                    let first = slots[i].claimed
                    slots[i].claimed = min(first + Self.claim, images.count)
                    return Task(
                        step: slots[i].step, work: .read(first: first, images: Array(images[first..<slots[i].claimed])))
                }
                if slots.count < depth, nextStep < end {
                    let step = nextStep
                    nextStep += 1
                    slots.append(Slot(step: step))
                    return Task(step: step, work: .draw)
                }
                condition.wait()
            }
            return nil
        }
    }

    private func finish(_ step: Int, _ change: (inout Slot) -> Void) {
        condition.withLock {
            if let i = slots.firstIndex(where: { $0.step == step }) { change(&slots[i]) }
            condition.broadcast()
        }
    }

    private func room(of step: Int) -> UnsafeMutableBufferPointer<Float> {
        let length = capacity * set.valueCount
        let start = step % depth * length
        return UnsafeMutableBufferPointer(rebasing: values[start..<(start + length)])
    }
}
