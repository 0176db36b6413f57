/// Parts of tensors that are read and written where the whole lies, so that a split or a concatenation is no copy.
///
/// A part's rows stand as far apart as those of the whole. A split is left out where all who read a part can read rows so; a
/// concatenation where all who write a part can write them so, and nobody else reads it.
struct TensorParts {
    /// Where a part lies.
    struct Part: Sendable {
        /// The value it is a part of.
        let whole: Int
        /// Bytes of that.
        let wholeBytes: Int
        /// Elements before its first row.
        let offset: Int
        /// Elements from one of its rows to the next.
        let stride: Int
    }

    /// By the part's id.
    private(set) var parts: [Int: Part] = [:]

    init() {}

    /// Takes the splits and concatenations that need no copy out of `nodes`. Values in `pinned` stay as they are.
    init(_ nodes: inout [Node?], pinned: Set<Int>) {
        var users: [Int: [Int]] = [:]
        var producers: [Int: Int] = [:]
        var changed: Set<Int> = []
        for (index, node) in nodes.enumerated() {
            guard let node else { continue }
            for id in Set(node.inputs.map(\.id)) { users[id, default: []].append(index) }
            for output in node.outputs { producers[output.id] = index }
            changed.formUnion(node.operation.mutatedInputs.map { node.inputs[$0].id })
        }
        for index in nodes.indices {
            guard let node = nodes[index], let axis = Self.axis(node.operation) else { continue }
            let isSplit = node.operation is Split
            let whole = isSplit ? node.inputs[0] : node.outputs[0]
            let members = isSplit ? node.outputs : node.inputs
            let (outer, inner) = whole.type.around(axis)
            let ids = Set(members.map(\.id))
            let width = members[0].count / max(outer, 1)
            guard ids.count == members.count, members.allSatisfy({ $0.count == members[0].count }),
                ids.isDisjoint(with: pinned), parts[whole.id] == nil, ids.allSatisfy({ parts[$0] == nil }),
                !changed.contains(whole.id), ids.isDisjoint(with: changed)
            else { continue }
            /// Whether all of the node's positions with this id hold rows of the part, and may be strided.
            func takes(_ tensors: [Tensor], _ strided: [Int], _ id: Int) -> Bool {
                tensors.indices.allSatisfy { tensors[$0].id != id || strided.contains($0) && tensors[$0].type.columns == width }
            }
            let isFree = members.allSatisfy { member in
                if isSplit {
                    return (users[member.id] ?? []).allSatisfy { user in
                        nodes[user].map { takes($0.inputs, $0.operation.stridedInputs, member.id) } ?? true
                    }
                }
                guard users[member.id] == [index], let producer = producers[member.id].flatMap({ nodes[$0] }) else { return false }
                return takes(producer.outputs, producer.operation.stridedOutputs, member.id)
            }
            guard isFree else { continue }
            let stride = whole.type.shape[axis] * inner
            for (position, member) in members.enumerated() {
                parts[member.id] = Part(
                    whole: whole.id, wholeBytes: whole.type.byteCount, offset: position * width, stride: stride)
            }
            nodes[index] = nil
        }
    }

    private static func axis(_ operation: any Operation) -> Int? {
        (operation as? Split)?.axis ?? (operation as? Concat)?.axis
    }

    /// Elements from a row of each tensor to the next.
    func strides(_ tensors: [Tensor]) -> [Int] { tensors.map { parts[$0.id]?.stride ?? $0.type.columns } }
}
