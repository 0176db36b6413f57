import Foundation

/// Images that could not be read: each is remembered, so that none is tried or named twice.
final class BrokenImages: @unchecked Sendable {
    private let lock = NSLock()
    private var indices: Set<Int> = []
    private var unnamed: [String] = []

    /// Number of broken images met so far.
    var count: Int { lock.withLock { indices.count } }

    func contains(_ index: Int) -> Bool { lock.withLock { indices.contains(index) } }

    func insert(_ index: Int, _ reason: String) {
        lock.withLock {
            if indices.insert(index).inserted { unnamed.append("skipped: " + reason) }
        }
    }

    /// What is wrong with the images found since the last call, one line each.
    func takeReasons() -> [String] {
        lock.withLock {
            defer { unnamed = [] }
            return unnamed
        }
    }
}
