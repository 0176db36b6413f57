/// y = factor * sum of x over its last axis.
struct RowSum: Operation {
    let factor: Float

    var name: String { "row_sum" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank >= 1, inputs[0].columns > 0 else { throw GraphError("row_sum: \(inputs[0]) has no last axis") }
        return [TensorType(Array(inputs[0].shape.dropLast()))]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(SumGradient(shape: node.inputs[0].shape, factor: factor), $0)[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                "row_sum_forward", family: "reduce", rows: x.rows, columns: x.columns,
                arguments: [.input(0), .output(0), .int(x.rows), .int(x.columns), .float(factor)],
                traffic: Traffic(bytes: 4 * x.count, flops: x.count))
        ]
    }
}

/// The gradient of a sum over the last axis, or over all: each element of dy, times the factor, as often as `shape` says.
struct SumGradient: Operation {
    let shape: [Int]
    let factor: Float

    var name: String { "row_sum_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let type = TensorType(shape)
        guard inputs[0].count > 0, type.count.isMultiple(of: inputs[0].count) else {
            throw GraphError("\(name): \(inputs[0]) does not spread over \(type)")
        }
        return [type]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let rows = context.inputs[0].count
        let columns = context.outputs[0].count / rows
        return [
            context.shareLaunch(
                "row_sum_backward", family: "reduce", rows: rows, columns: columns,
                arguments: [.input(0), .output(0), .int(rows), .int(columns), .float(factor)],
                traffic: Traffic(bytes: 4 * rows * columns, flops: rows))
        ]
    }
}

/// y[0] = factor * sum of all elements of x.
struct SumAll: Operation {
    let factor: Float

    var name: String { "sum_all" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].count > 0 else { throw GraphError("sum_all: \(inputs[0]) has no elements") }
        return [TensorType([1])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(SumGradient(shape: node.inputs[0].shape, factor: factor), $0)[0] }]
    }
    /// Elements of a part; all of them when one launch is enough.
    private func chunk(_ context: LaunchContext) -> Int {
        let count = context.inputs[0].count
        return count <= 1 << 14 ? count : max(4096, (count + context.sumParts - 1) / context.sumParts)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        let (count, chunk) = (context.inputs[0].count, chunk(context))
        return count > chunk ? [TensorType([(count + chunk - 1) / chunk])] : []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (count, chunk) = (context.inputs[0].count, chunk(context))
        let parts = (count + chunk - 1) / chunk
        func sum(_ x: Argument, _ y: Argument, _ count: Int, _ chunk: Int, _ factor: Float) -> Command {
            context.rowLaunch(
                "sum_all", family: "reduce", rows: (count + chunk - 1) / chunk, indices: count,
                arguments: [x, y, .int(count), .int(chunk), .float(factor)],
                traffic: Traffic(bytes: 4 * count, flops: count))
        }
        if parts == 1 { return [sum(.input(0), .output(0), count, count, factor)] }
        return [sum(.input(0), .scratch(0), count, chunk, 1), sum(.scratch(0), .output(0), parts, parts, factor)]
    }
}

/// y = sum of x over all axes but the last.
struct ColumnSum: Operation {
    var name: String { "column_sum" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank >= 1, inputs[0].rows > 0 else { throw GraphError("column_sum: \(inputs[0]) has no rows") }
        return [TensorType([inputs[0].columns])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil] }
        return [try graph.repeatEach(graph.reshape(dy, [1, dy.count]), times: node.inputs[0].type.rows)]
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        let count = context.columnSumScratch(rows: context.inputs[0].rows, columns: context.inputs[0].columns)
        return count > 0 ? [TensorType([count])] : []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return context.columnSum(.input(0), .output(0), rows: x.rows, columns: x.columns, scratch: .scratch(0))
    }
}

extension LaunchContext {
    /// Sums of `chunk` consecutive rows each: [rows, columns] -> [ceil(rows / chunk), columns], those at `stride` if one is given.
    func columnSum(_ x: Argument, _ y: Argument, rows: Int, columns: Int, chunk: Int, stride: Int? = nil) -> Command {
        rowLaunch(
            "column_sum", family: "reduce", rows: (rows + chunk - 1) / chunk * columnTiles(columns), indices: rows,
            arguments: [x, y, .int(rows), .int(columns), .int(chunk), .int(stride ?? columns)],
            traffic: Traffic(bytes: 4 * rows * columns, flops: rows * columns))
    }

    private func columnChunks(_ rows: Int, _ columns: Int) -> RowChunks {
        tileChunks(RowMap(span: max(rows, 1)), rows: rows, columns: columns)
    }

    /// Floats of scratch that `columnSum` over all rows needs.
    func columnSumScratch(rows: Int, columns: Int) -> Int {
        let chunks = columnChunks(rows, columns)
        return chunks.perGroup == 1 ? 0 : chunks.count * columns
    }

    /// The sum of all rows, [rows, columns] -> [columns], as for the gradient of a bias. `scratch` has `columnSumScratch`
    /// floats, and may be any argument where that is 0.
    func columnSum(_ x: Argument, _ y: Argument, rows: Int, columns: Int, scratch: Argument) -> [Command] {
        let chunks = columnChunks(rows, columns)
        if chunks.perGroup == 1 { return [columnSum(x, y, rows: rows, columns: columns, chunk: max(rows, 1))] }
        return [
            columnSum(x, scratch, rows: rows, columns: columns, chunk: chunks.chunk),
            columnSum(scratch, y, rows: chunks.count, columns: columns, chunk: chunks.count),
        ]
    }
}

extension Graph {
    /// Sum over the last axis, times `factor`: [..., n] -> [...].
    public func rowSum(_ x: Tensor, factor: Float = 1) throws -> Tensor { try apply(RowSum(factor: factor), x)[0] }

    /// Mean over the last axis: [..., n] -> [...].
    public func rowMean(_ x: Tensor) throws -> Tensor { try rowSum(x, factor: 1 / Float(max(x.type.columns, 1))) }

    /// Sum of all elements, times `factor`; one element.
    public func sum(_ x: Tensor, factor: Float = 1) throws -> Tensor { try apply(SumAll(factor: factor), x)[0] }

    /// Mean of all elements; one element.
    public func mean(_ x: Tensor) throws -> Tensor { try sum(x, factor: 1 / Float(max(x.count, 1))) }

    /// Sum over all axes but the last: [..., n] -> [n].
    public func columnSum(_ x: Tensor) throws -> Tensor { try apply(ColumnSum(), x)[0] }
}
