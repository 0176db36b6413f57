import Synchronization

/// Which graph a tensor belongs to: no two graphs of a process have the same, not even after one of them is gone. Ids of
/// tensors are unique within a graph only.
struct GraphIdentity: Sendable, Hashable {
    private static let count = Atomic<Int>(0)
    private let number: Int

    /// One that no other graph has.
    init() { number = Self.count.add(1, ordering: .relaxed).newValue }

    /// Throws a `GraphError` that begins with `subject` where one of the tensors belongs to another graph.
    func check(_ tensors: [Tensor], _ subject: @autoclosure () -> String) throws {
        guard let foreign = tensors.first(where: { $0.graph != self }) else { return }
        throw GraphError(
            "\(subject()): tensor \(foreign.id) \(foreign.type) belongs to another graph; share its storage with this one instead")
    }
}
