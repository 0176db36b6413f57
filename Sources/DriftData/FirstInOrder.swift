import Synchronization

/// Of the values that parallel work finds, the one at the lowest index. So the result does not depend on the threads.
package final class FirstInOrder<Value: Sendable>: Sendable {
    private let found = Mutex<(index: Int, value: Value)?>(nil)

    package init() {}

    /// Nil while nothing is found.
    package var value: Value? { found.withLock { $0?.value } }

    /// Whether a find at that index would count: work further on need not be done.
    package func isOpen(at index: Int) -> Bool { found.withLock { $0.map { index < $0.index } ?? true } }

    package func offer(_ value: Value, at index: Int) {
        found.withLock { if $0.map({ index < $0.index }) ?? true { $0 = (index, value) } }
    }
}
