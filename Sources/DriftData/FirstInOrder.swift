import Synchronization

/// What parallel work finds at its lowest index, whichever thread is there first.
final class FirstInOrder<Value: Sendable>: Sendable {
    private let found = Mutex<(index: Int, value: Value)?>(nil)

    /// Nil while nothing is found.
    var value: Value? { found.withLock { $0?.value } }

    /// Whether a find at that index would count: work further on need not be done.
    func isOpen(at index: Int) -> Bool { found.withLock { $0.map { index < $0.index } ?? true } }

    func offer(_ value: Value, at index: Int) {
        found.withLock { if $0.map({ index < $0.index }) ?? true { $0 = (index, value) } }
    }
}
