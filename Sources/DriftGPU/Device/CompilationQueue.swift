import Foundation

/// Kernels to compile, taken by the process itself from the front and by its compiler processes from the back.
final class CompilationQueue: @unchecked Sendable {
    // Everything below is read and written under the lock.
    private let lock = NSCondition()
    private var waiting: ArraySlice<KernelCompilation>
    private var isClosed = false
    /// Kernels that compiler processes are at.
    private var away = 0
    private var finished: (own: [KernelCompilation.Key], others: [KernelCompilation.Key]) = ([], [])
    private var firstAway: (compilation: KernelCompilation, seconds: Double)?

    let count: Int

    init(_ compilations: [KernelCompilation]) {
        waiting = compilations[...]
        count = compilations.count
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    /// Kernels that are compiled.
    var done: Int { locked { finished.own.count + finished.others.count } }
    /// Those that this process has compiled.
    var own: [KernelCompilation.Key] { locked { finished.own } }
    /// Those that compiler processes have compiled.
    var others: [KernelCompilation.Key] { locked { finished.others } }
    /// Kernels that nobody has taken.
    var left: Int { locked { waiting.count } }
    /// The first kernel that a compiler process has compiled, and how long that took.
    var firstFromAway: (compilation: KernelCompilation, seconds: Double)? { locked { firstAway } }

    func takeFirst() -> KernelCompilation? { locked { waiting.popFirst() } }

    func finishOwn(_ compilation: KernelCompilation) { locked { finished.own.append(compilation.key) } }

    /// For a compiler process, which says how it went with `finishAway` or `giveBack`.
    func takeLast() -> KernelCompilation? {
        locked {
            guard !isClosed, let last = waiting.popLast() else { return nil }
            away += 1
            return last
        }
    }

    func finishAway(_ compilation: KernelCompilation, seconds: Double) {
        locked {
            away -= 1
            finished.others.append(compilation.key)
            if firstAway == nil { firstAway = (compilation, seconds) }
            lock.broadcast()
        }
    }

    func giveBack(_ compilation: KernelCompilation) {
        locked {
            away -= 1
            waiting.append(compilation)
            lock.broadcast()
        }
    }

    /// Compiler processes get nothing more.
    func close() { locked { isClosed = true } }

    /// Waits until a compiler process is done with a kernel, at most until `date`. False where none is at one.
    func waitForAway(until date: Date) -> Bool {
        locked {
            guard away > 0 else { return false }
            _ = lock.wait(until: date)
            return true
        }
    }
}
