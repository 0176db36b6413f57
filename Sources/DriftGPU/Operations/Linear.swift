extension Graph {
    /// y = x W^T + b over the last dimension: x [..., k], weight [n, k], bias [n] -> [..., n].
    public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        guard weight.type.rank == 2 else { throw GraphError("linear: weight \(weight.type) is not a matrix") }
        let operation = MatrixMultiply(label: "linear", transposeB: true, hasBias: bias != nil)
        return try apply(operation, [x, weight] + (bias.map { [$0] } ?? []))[0]
    }
}

/// db = the sum of dy's rows: [rows, n] -> [n]. Rows are summed in chunks, then the chunks.
struct BiasGradient: Operation {
    var name: String { "bias_gradient" }
    private static let chunk = 128

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [TensorType([inputs[0].columns])] }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let dy = context.inputs[0]
        return dy.rows > Self.chunk ? [TensorType([(dy.rows + Self.chunk - 1) / Self.chunk, dy.columns])] : []
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let dy = context.inputs[0]
        func sum(_ x: Argument, _ y: Argument, rows: Int, chunk: Int) -> Command {
            context.rowLaunch(
                "column_sum", family: "reduce", rows: max((rows + chunk - 1) / chunk, context.traits.computeUnits),
                arguments: [x, y, .int(rows), .int(dy.columns), .int(chunk), .int(dy.columns)],
                traffic: Traffic(bytes: 4 * rows * dy.columns, flops: rows * dy.columns))
        }
        if dy.rows <= Self.chunk { return [sum(.input(0), .output(0), rows: dy.rows, chunk: dy.rows)] }
        let chunks = (dy.rows + Self.chunk - 1) / Self.chunk
        return [
            sum(.input(0), .scratch(0), rows: dy.rows, chunk: Self.chunk),
            sum(.scratch(0), .output(0), rows: chunks, chunk: chunks),
        ]
    }
}
