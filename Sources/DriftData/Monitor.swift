import Foundation

/// A value that threads share. One thread at a time reads or changes it; others can wait for a change.
final class Monitor<Value>: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: Value

    init(_ value: Value) { self.value = value }

    /// Changes the value and wakes the threads that wait.
    func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try condition.withLock {
            defer { condition.broadcast() }
            return try body(&value)
        }
    }

    /// Waits until `body` has a result. It is asked again after every change, its own change wakes nobody.
    func wait<Result>(_ body: (inout Value) throws -> Result?) rethrows -> Result {
        try condition.withLock {
            while true {
                if let result = try body(&value) { return result }
                condition.wait()
            }
        }
    }
}
