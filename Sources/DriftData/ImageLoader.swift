import DriftFormats
import Foundation

/// Reads the images of coming steps ahead, on threads of its own, so that a step finds its images waiting.
///
/// Which images a step takes is known ahead from counters. At most `depth` steps are held at once: threads that are further
/// ahead wait. What a step gets, be it an error, depends on its number alone, not on the threads.
package final class ImageLoader {
    private let queue: StepQueue
    /// Time that `take` has waited so far.
    package private(set) var waited = Duration.zero

    /// - Parameters:
    ///   - capacity: images of a step.
    ///   - first: the step that is taken first.
    ///   - depth: steps that are held at once.
    ///   - room: where the images of `depth` steps are put, those of a step beside each other.
    ///   - draw: the images of a step.
    package init(
        _ set: ImageSet, capacity: Int, first: Int, depth: Int = ImageLoader.depth,
        threads: Int = min(16, max(1, ProcessInfo.processInfo.activeProcessorCount)), room: any ImageRoom,
        draw: @escaping @Sendable (Int) throws -> [DrawnImage]
    ) {
        queue = StepQueue(set, capacity: capacity, first: first, depth: depth, room: room, draw: draw)
        for _ in 0..<threads {
            queue.threadBegins()
            let thread = Thread { [queue] in queue.work() }
            thread.name = "driftgpu.images"
            thread.start()
        }
    }

    /// Ends the threads; waits for the images they are at.
    deinit { queue.stop() }

    /// Steps held at once: one on its way to the device, one that waits, and two that are read.
    package static let depth = 4

    /// Waits for the images of `step` and says where in the room their bytes [n, byteCount] are. They stay there until the step
    /// is released. Steps are taken in order, each after the one before was released.
    package func take(_ step: Int) throws -> Range<Int> {
        let begin = ContinuousClock.now
        let range = try queue.wait(for: step)
        waited += ContinuousClock.now - begin
        return range
    }

    /// Makes room for another step.
    package func release(_ step: Int) { queue.release(step) }
}

/// Memory that a loader fills.
package protocol ImageRoom: AnyObject, Sendable {
    var bytes: UnsafeMutableRawBufferPointer { get }
}

/// What the threads of a loader share.
private final class StepQueue: Sendable {
    /// The images of one step on their way.
    private struct Slot {
        var step: Int
        var images: [DrawnImage]?
        var claimed = 0
        var done = 0

        var isComplete: Bool { images.map { done == $0.count } ?? false }
    }

    private struct State {
        var slots: [Slot] = []
        var nextStep: Int
        /// The first step that cannot be had; those before it still can.
        var failure: (step: Int, error: any Error)?
        var isStopped = false
        var threads = 0
    }

    private let set: ImageSet
    private let draw: @Sendable (Int) throws -> [DrawnImage]
    private let depth: Int
    private let capacity: Int
    /// Room for `depth` steps; step s lies at s mod depth. A byte is written by the thread that has claimed its image.
    private let room: any ImageRoom
    private let state: Monitor<State>

    /// Images a thread takes at once: enough that locking costs nothing.
    private static let claim = 4

    init(
        _ set: ImageSet, capacity: Int, first: Int, depth: Int, room: any ImageRoom,
        draw: @escaping @Sendable (Int) throws -> [DrawnImage]
    ) {
        self.set = set
        self.draw = draw
        self.depth = max(1, depth)
        self.capacity = capacity
        self.room = room
        state = Monitor(State(nextStep: first))
    }

    func threadBegins() { state.change { $0.threads += 1 } }

    func stop() {
        state.change { $0.isStopped = true }
        state.wait { $0.threads > 0 ? nil : () }
    }

    func wait(for step: Int) throws -> Range<Int> {
        try state.wait { state in
            if let failure = state.failure, failure.step <= step { throw failure.error }
            if let slot = state.slots.first, slot.step == step, slot.isComplete {
                let count = (slot.images?.count ?? 0) * set.byteCount
                let start = start(of: step)
                return start..<(start + count)
            }
            guard step == (state.slots.first?.step ?? state.nextStep) else {
                throw DataError("step \(step) asked for out of order", at: "image loader", fix: "take the steps in order")
            }
            return nil
        }
    }

    func release(_ step: Int) {
        state.change { $0.slots.removeAll { $0.step == step } }
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
                    let size = set.byteCount
                    for (i, image) in images.enumerated() {
                        let start = start(of: step) + (first + i) * size
                        try set.readStored(image, to: UnsafeMutableRawBufferPointer(rebasing: room.bytes[start..<(start + size)]))
                    }
                    finish(step) { $0.done += images.count }
                }
            } catch {
                state.change { if task.step < $0.failure?.step ?? .max { $0.failure = (task.step, error) } }
            }
        }
        state.change { $0.threads -= 1 }
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
        state.wait { state -> Task?? in
            if state.isStopped { return .some(nil) }
            let end = state.failure?.step ?? .max
            for i in state.slots.indices where state.slots[i].step < end {
                guard let images = state.slots[i].images, state.slots[i].claimed < images.count else { continue }
                let first = state.slots[i].claimed
                let claimed = first..<min(first + Self.claim, images.count)
                state.slots[i].claimed = claimed.upperBound
                return Task(step: state.slots[i].step, work: .read(first: first, images: Array(images[claimed])))
            }
            if state.slots.count < depth, state.nextStep < end {
                defer { state.nextStep += 1 }
                state.slots.append(Slot(step: state.nextStep))
                return Task(step: state.nextStep, work: .draw)
            }
            return nil
        }
    }

    private func finish(_ step: Int, _ change: (inout Slot) -> Void) {
        state.change { state in
            if let i = state.slots.firstIndex(where: { $0.step == step }) { change(&state.slots[i]) }
        }
    }

    private func start(of step: Int) -> Int { step % depth * capacity * set.byteCount }
}
