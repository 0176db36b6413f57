/// y = x + gate[m] * dropout(h). Inputs: x, h [..., D], then the gate with a map, then the clock with dropout.
struct Residual: Operation {
    /// Rows of the gate; nil without a gate.
    let map: RowMap?
    let dropout: DropoutDraw?

    /// A dropout mask: drawn again for the gradient, not stored.

    var name: String { "residual" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    var stridedInputs: [Int] { map == nil ? [] : [2] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0] == inputs[1] else { throw GraphError("residual: \(inputs[0]) and \(inputs[1])") }
        try map?.check(name, inputs[0], inputs[2])
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        var result = node.inputs.map { _ -> Tensor? in nil }
        result[0] = dy
        if map != nil {
            let backward = try graph.apply(ResidualGradient(map: map, dropout: dropout), [dy] + node.inputs.dropFirst())
            (result[1], result[2]) = (backward[0], backward[1])
        } else if dropout != nil {
            result[1] = try graph.apply(ResidualGradient(map: nil, dropout: dropout), dy, node.inputs[2])[0]
        } else {
            result[1] = dy
        }
        return result
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let gate: Argument = map == nil ? .input(0) : .input(2)
        let clock: [Argument] = dropout == nil ? [] : [.input(map == nil ? 2 : 3)]
        return [
            context.shareLaunch(
                dropout == nil ? "residual_forward" : "residual_dropout_forward", family: name, rows: x.rows,
                columns: x.columns,
                arguments: [.input(0), .input(1), gate] + clock + [.output(0)]
                    + [.int(x.rows), .int(x.columns), .int(map == nil ? 0 : 1)]
                    + (map ?? RowMap(span: max(x.rows, 1))).arguments
                    + [.int(map == nil ? x.columns : context.inputStrides[2])] + (dropout?.arguments ?? []),
                traffic: Traffic(bytes: 12 * x.count, flops: 2 * x.count))
        ]
    }
}

/// dh and dgate. Inputs: dy, h, gate, then the clock with dropout; without a map only dh, from dy and the clock.
struct ResidualGradient: Operation {
    let map: RowMap?
    let dropout: DropoutDraw?

    var name: String { "residual_backward" }
    var inPlace: [(input: Int, output: Int)] { map == nil ? [(0, 0)] : [(0, 0), (1, 0)] }
    var stridedInputs: [Int] { map == nil ? [] : [2] }
    var stridedOutputs: [Int] { map == nil ? [] : [1] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { map == nil ? [inputs[0]] : [inputs[0], inputs[2]] }
    private func chunks(_ map: RowMap, _ context: LaunchContext) -> RowChunks {
        context.tileChunks(map, rows: context.inputs[0].rows, columns: context.inputs[0].columns)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        guard let map else { return [] }
        let chunks = chunks(map, context)
        return chunks.perGroup == 1 ? [] : [TensorType([chunks.count, context.inputs[0].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let draw = dropout?.arguments ?? []
        guard let map else {
            return [
                context.shareLaunch(
                    "residual_dropout_gradient", family: "residual", rows: x.rows, columns: x.columns,
                    arguments: [.input(0), .input(1), .output(0), .int(x.rows), .int(x.columns)] + draw,
                    traffic: Traffic(bytes: 8 * x.count, flops: x.count))
            ]
        }
        let chunks = chunks(map, context)
        let clock: [Argument] = dropout == nil ? [] : [.input(3)]
        let isWhole = chunks.perGroup == 1
        let first = context.rowLaunch(
            dropout == nil ? "residual_backward" : "residual_dropout_backward", family: "residual",
            rows: chunks.count * context.columnTiles(x.columns), indices: x.rows,
            arguments: [.input(0), .input(1), .input(2)] + clock
                + [.output(0), isWhole ? .output(1) : .scratch(0), .int(x.rows), .int(x.columns)]
                + map.arguments + [.int(chunks.chunk), .int(context.inputStrides[2])]
                + [.int(isWhole ? context.outputStrides[1] : x.columns)] + draw,
            traffic: Traffic(bytes: 12 * x.count, flops: 3 * x.count))
        if isWhole { return [first] }
        return [
            first,
            context.columnSum(.scratch(0), .output(1), rows: chunks.count, columns: x.columns, chunk: chunks.perGroup,
                stride: context.outputStrides[1]),
        ]
    }
}

extension Graph {
    /// x + h, where `h` first goes through dropout and is multiplied by its group's row of `gate` (with `map`).
    public func residual(
        _ x: Tensor, _ h: Tensor, gate: Tensor? = nil, map: RowMap? = nil, dropout: Dropout? = nil
    ) throws -> Tensor {
        guard gate == nil || map != nil else { throw GraphError("residual: a gate needs a row map") }
        var inputs = [x, h]
        if let gate { inputs.append(gate) }
        let draw = try dropoutDraw(dropout, "residual")
        if let dropout, draw != nil { inputs.append(dropout.clock) }
        return try apply(Residual(map: gate == nil ? nil : map, dropout: draw), inputs)[0]
    }
}
