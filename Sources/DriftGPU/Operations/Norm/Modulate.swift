/// AdaLN's modulation: rows become x (1 + scale) + shift. Scale and shift have a row of x's width per group of x's rows.
public struct Modulation: Sendable, Hashable {
    public var shift: Tensor
    public var scale: Tensor
    public var map: RowMap

    public init(shift: Tensor, scale: Tensor, map: RowMap) {
        self.shift = shift
        self.scale = scale
        self.map = map
    }
}

/// y = x (1 + scale[m]) + shift[m]. Inputs: x [..., D], scale, shift.
struct Modulate: Operation {
    let map: RowMap

    var name: String { "modulate" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    var stridedInputs: [Int] { [1, 2] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try map.check(name, inputs[0], inputs[1])
        try map.check(name, inputs[0], inputs[2])
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil, nil, nil] }
        return try graph.apply(ModulateGradient(map: map), dy, node.inputs[0], node.inputs[1])
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        return [
            context.shareLaunch(
                "modulate_forward", family: "modulate", rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .input(2), .output(0), .int(x.rows), .int(x.columns)] + map.arguments
                    + [.int(context.inputStrides[1]), .int(context.inputStrides[2])],
                traffic: Traffic(bytes: 8 * x.count + 8 * context.inputs[1].count, flops: 2 * x.count))
        ]
    }
}

/// dx, dscale and dshift. Inputs: dy, x [..., D], scale.
struct ModulateGradient: Operation {
    let map: RowMap

    var name: String { "modulate_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    var stridedInputs: [Int] { [2] }
    var stridedOutputs: [Int] { [1, 2] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0], inputs[2], inputs[2]] }
    private func chunks(_ context: LaunchContext) -> RowChunks {
        context.tileChunks(map, rows: context.inputs[0].rows, columns: context.inputs[0].columns)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        let chunks = chunks(context)
        return chunks.perGroup == 1 ? [] : Array(repeating: TensorType([chunks.count, context.inputs[0].columns]), count: 2)
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let chunks = chunks(context)
        let isWhole = chunks.perGroup == 1
        let sums: [Argument] = isWhole ? [.output(1), .output(2)] : [.scratch(0), .scratch(1)]
        let strides = isWhole ? context.outputStrides.dropFirst() : [x.columns, x.columns]
        let first = context.rowLaunch(
            "modulate_backward", family: "modulate", rows: chunks.count * context.columnTiles(x.columns),
            indices: x.rows, arguments: [.input(0), .input(1), .input(2), .output(0)] + sums + [.int(x.rows), .int(x.columns)]
                + map.arguments + [.int(chunks.chunk), .int(context.inputStrides[2])] + strides.map { .int($0) },
            traffic: Traffic(bytes: 12 * x.count + 12 * context.inputs[2].count, flops: 4 * x.count))
        if isWhole { return [first] }
        return [first]
            + [0, 1].map { index in
                context.columnSum(
                    .scratch(index), .output(1 + index), rows: chunks.count, columns: x.columns, chunk: chunks.perGroup,
                    stride: context.outputStrides[1 + index])
            }
    }
}

extension Graph {
    /// x (1 + scale) + shift, row by row.
    public func modulate(_ x: Tensor, _ modulation: Modulation) throws -> Tensor {
        try apply(Modulate(map: modulation.map), x, modulation.scale, modulation.shift)[0]
    }
}
