/// y[i] = table[labels[i]], or the fake row where uniform[i] < dropProbability. Inputs: table [classes, width], labels [n]
/// int32, and when rows are dropped fake [width], uniform [n].
struct Embedding: Operation {
    let dropProbability: Float
    var drops: Bool { dropProbability > 0 }

    var name: String { "embedding" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .float32, inputs[1].element == .int32 else {
            throw GraphError("embedding: table \(inputs[0]) with labels \(inputs[1]); a table [classes, width] and int32 labels are needed")
        }
        if drops, inputs[2].count != inputs[0].columns || inputs[3].count != inputs[1].count {
            throw GraphError("embedding: fake row \(inputs[2]) and uniform \(inputs[3]) for table \(inputs[0]), labels \(inputs[1])")
        }
        return [TensorType(inputs[1].shape + [inputs[0].columns])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        let none = [Tensor?](repeating: nil, count: node.inputs.count)
        guard let dy = gradients[0] else { return none }
        let operation = EmbeddingGradient(dropProbability: dropProbability, classes: node.inputs[0].shape[0])
        let result = try graph.apply(operation, [dy, node.inputs[1]] + (drops ? [node.inputs[3]] : []))
        return drops ? [result[0], nil, result[1], nil] : [result[0], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[1].count
        let width = context.inputs[0].columns
        return [
            context.rowLaunch(
                "embedding_forward", family: "embedding", rows: count,
                arguments: [
                    .input(0), .input(1), .input(drops ? 2 : 0), .input(drops ? 3 : 0), .output(0), .int(count),
                    .int(context.inputs[0].rows), .int(width), .float(dropProbability),
                ], traffic: Traffic(bytes: 8 * count * width))
        ]
    }
}

/// Gradients of table and fake row. Inputs: dy [n, width], labels, and uniform when rows are dropped.
struct EmbeddingGradient: Operation {
    let dropProbability: Float
    let classes: Int
    var drops: Bool { dropProbability > 0 }

    var name: String { "embedding_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let width = inputs[0].columns
        return [TensorType([classes, width])] + (drops ? [TensorType([width])] : [])
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[1].count
        let width = context.inputs[0].columns
        return [
            context.rowLaunch(
                "embedding_backward", family: "embedding", rows: classes + (drops ? 1 : 0),
                arguments: [
                    .input(1), .input(drops ? 2 : 0), .input(0), .output(0), .output(drops ? 1 : 0), .int(count),
                    .int(classes), .int(width), .float(dropProbability),
                ], traffic: Traffic(bytes: 4 * (classes + count) * width, flops: count * width))
        ]
    }
}

extension Graph {
    /// Rows of `table` [classes, width] by `labels` (int32); zeros for a label out of range.
    public func embedding(_ table: Tensor, labels: Tensor) throws -> Tensor {
        try apply(Embedding(dropProbability: 0), table, labels)[0]
    }

    /// The same with label dropping: where `uniform` < `dropProbability` the row is `fake` instead.
    public func embedding(
        _ table: Tensor, labels: Tensor, fake: Tensor, uniform: Tensor, dropProbability: Float
    ) throws -> Tensor {
        guard dropProbability > 0 else { return try embedding(table, labels: labels) }
        return try apply(Embedding(dropProbability: dropProbability), table, labels, fake, uniform)[0]
    }
}
