/// Gradient checkpointing: the nodes of a graph's segments, computed a second time where the backward pass needs them.
///
/// The second time is made of the same operations over the same inputs. Random numbers come from counters that belong to an
/// operation, so it draws the same masks, and gives the same bits. Values between the nodes of a segment then live only
/// while its own backward nodes run.
struct Recomputation {
    private let graph: Graph
    private let segments: [Range<Int>]
    /// The copies of nodes that are computed a second time, by the index of the node.
    private var nodes: [Int: Node] = [:]

    init(_ graph: Graph) {
        self.graph = graph
        segments = graph.segments
    }

    /// Node `index` as the backward pass should see it: itself, or its second time where it belongs to a segment. The first
    /// call for a segment adds copies of all its nodes to the graph; a schedule leaves out those nobody reads.
    mutating func node(_ index: Int) throws -> Node {
        if let node = nodes[index] { return node }
        guard let segment = segments.first(where: { $0.contains(index) }) else { return graph.nodes[index] }
        try checkRepeatable(segment)
        var copies: [Int: Tensor] = [:]
        for position in segment {
            let first = graph.nodes[position]
            let inputs = first.inputs.map { input in
                copies[input.id].map { Tensor(graph: graph.identity, id: $0.id, type: input.type) } ?? input
            }
            let outputs = try graph.part(first.part) { try graph.apply(first.operation, inputs) }
            for (original, copy) in zip(first.outputs, outputs) { copies[original.id] = copy }
            nodes[position] = Node(operation: first.operation, inputs: inputs, outputs: outputs, part: first.part)
        }
        return nodes[index] ?? graph.nodes[index]
    }

    /// Throws where computing the segment again would compute something else, or write something twice.
    private func checkRepeatable(_ segment: Range<Int>) throws {
        if let writer = graph.nodes[segment].first(where: { !$0.operation.mutatedInputs.isEmpty }) {
            throw GraphError("\(writer.operation.name): writes to a stored tensor, so it cannot be in a segment that is recomputed")
        }
        let read = Set(graph.nodes[segment].flatMap(\.inputs).compactMap { graph.places[$0.id]?.storage })
        for node in graph.nodes[segment.upperBound...] {
            for input in node.operation.mutatedInputs {
                guard let storage = graph.places[node.inputs[input].id]?.storage, read.contains(storage) else { continue }
                throw GraphError(
                    "\(node.operation.name): writes to storage \(storage.name), which a segment reads that is to be recomputed later")
            }
        }
    }
}
