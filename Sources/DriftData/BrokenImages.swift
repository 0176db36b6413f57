import Synchronization

/// Images that could not be read: each is remembered, so that none is tried or named twice.
package final class BrokenImages: Sendable {
    private struct State {
        var indices: Set<Int> = []
        var unnamed: [Int: String] = [:]
    }

    private let state = Mutex(State())

    /// Number of broken images met so far.
    package var count: Int { state.withLock { $0.indices.count } }

    func contains(_ index: Int) -> Bool { state.withLock { $0.indices.contains(index) } }

    func insert(_ index: Int, _ reason: String) {
        state.withLock { if $0.indices.insert(index).inserted { $0.unnamed[index] = "skipped: " + reason } }
    }

    /// What is wrong with the images found since the last call, one line each, in the order of the images.
    package func takeReasons() -> [String] {
        state.withLock { state in
            defer { state.unnamed = [:] }
            return state.unnamed.sorted { $0.key < $1.key }.map(\.value)
        }
    }
}
