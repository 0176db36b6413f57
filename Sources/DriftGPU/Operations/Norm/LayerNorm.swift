/// LayerNorm over the last axis, modulated where `map` is set.
///
/// Inputs: x [..., D], weight, bias [D], then scale and shift with a map. Outputs: y, and mean and rstd of each row, which
/// the gradient reads.
struct LayerNorm: Operation {
    let epsilon: Float
    let map: RowMap?

    var name: String { "layer_norm" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    var stridedInputs: [Int] { map == nil ? [] : [3, 4] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let x = inputs[0]
        guard x.count > 0, inputs[1].shape == [x.columns], inputs[2].shape == [x.columns] else {
            throw GraphError("layer_norm: weight \(inputs[1]) and bias \(inputs[2]) for \(x)")
        }
        guard epsilon >= 0 else { throw GraphError("layer_norm: epsilon \(epsilon) is negative") }
        if let map {
            try map.check(name, x, inputs[3])
            try map.check(name, x, inputs[4])
        }
        return [x, TensorType([x.rows]), TensorType([x.rows])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard gradients[1] == nil, gradients[2] == nil else {
            throw GraphError("layer_norm: mean and rstd carry no gradient")
        }
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let (x, weight, bias) = (node.inputs[0], node.inputs[1], node.inputs[2])
        let operation = LayerNormGradient(
            map: map, hasParameters: needs.dropFirst().contains(true), hasAffine: needs[1] || needs[2])
        return try graph.apply(
            operation, [dy, x, node.outputs[1], node.outputs[2], weight, bias] + (map == nil ? [] : [node.inputs[3]]))
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let map = self.map ?? RowMap(span: x.rows)
        let isModulated = self.map != nil
        let modulation: [Argument] = isModulated ? [.input(3), .input(4)] : [.input(0), .input(0)]
        let strides = isModulated ? context.inputStrides.suffix(2) : [x.columns, x.columns]
        return [
            context.shareLaunch(
                name + "_forward", family: name, rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .input(2)] + modulation + [.output(0), .output(1), .output(2)]
                    + [.int(x.rows), .int(x.columns), .float(epsilon), .int(isModulated ? 1 : 0)] + map.arguments
                    + strides.map { .int($0) },
                traffic: Traffic(bytes: 8 * x.count, flops: 8 * x.count))
        ]
    }
}

/// Gradients of LayerNorm. Inputs: dy, x, mean, rstd, weight, bias, then scale with a map, then a residual if one is added
/// to dx. Outputs: dx; then, with parameters, dweight, dbias and, with a map, dscale and dshift.
struct LayerNormGradient: Operation {
    let map: RowMap?
    let hasParameters: Bool
    /// Whether dweight and dbias are wanted.
    var hasAffine = true
    var hasResidual = false

    var name: String { hasResidual ? "layer_norm_backward_add" : "layer_norm_backward" }
    private var residualIndex: Int { map == nil ? 6 : 7 }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] + (hasResidual ? [(residualIndex, 0)] : []) }
    var stridedInputs: [Int] { map == nil ? [] : [6] }
    var stridedOutputs: [Int] { map == nil ? [] : [3, 4] }
    /// Whether each row has a modulation of its own: there is nothing to sum for that.
    private var isEach: Bool { hasParameters && map?.count == 1 }
    /// The gradient that reaches x past the normalised branch is added where dx is written.
    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard consumer is Add, !hasResidual, !keepsIntermediate, consumerInputs[1 - index].count == inputs[1].count else {
            return nil
        }
        var fused = self
        fused.hasResidual = true
        return fused
    }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard hasParameters else { return [inputs[1]] }
        return [inputs[1], inputs[4], inputs[5]] + (map == nil ? [] : [inputs[6], inputs[6]])
    }
    private func chunks(_ context: LaunchContext) -> RowChunks {
        let rows = context.inputs[0].rows
        return RowChunks(
            isEach ? RowMap(span: rows) : map ?? RowMap(span: rows), rows: rows, parts: context.sumParts, least: context.traits.isGPUShape ? 4 : 16)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        isEach && !hasAffine ? [] : [TensorType([chunks(context).count, 2, context.inputs[0].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let chunks = chunks(context)
        if isEach { return eachCommands(context, chunks) }
        let map = self.map ?? RowMap(span: x.rows)
        let isModulated = self.map != nil
        let scale: Argument = isModulated ? .input(6) : .input(1)
        let first = context.rowLaunch(
            "layer_norm_backward", family: "layer_norm", rows: chunks.count, indices: x.rows,
            arguments: [.input(0), .input(1), .input(2), .input(3), .input(4), scale]
                + [.input(hasResidual ? residualIndex : 0), .output(0), .scratch(0)]
                + [.int(x.rows), .int(x.columns), .int(isModulated ? 1 : 0), .int(hasResidual ? 1 : 0)] + map.arguments
                + [.int(chunks.chunk), .int(isModulated ? context.inputStrides[6] : x.columns)],
            traffic: Traffic(bytes: (hasResidual ? 16 : 12) * x.count, flops: 14 * x.count))
        guard hasParameters else { return [first] }
        let modulation: [Argument] = isModulated ? [.output(3), .output(4)] : [.output(1), .output(2)]
        let units = isModulated ? (chunks.groups, chunks.perGroup) : (chunks.count, 1)
        let strides = isModulated ? [context.inputStrides[6]] + context.outputStrides.suffix(2) : [0, 0, 0]
        return [
            first,
            parameters(context, chunks, scale, modulation, isModulated: isModulated, units: units, strides: strides),
        ]
    }

    /// The sums of what a first launch has left for each chunk.
    private func parameters(
        _ context: LaunchContext, _ chunks: RowChunks, _ scale: Argument, _ modulation: [Argument], isModulated: Bool,
        units: (count: Int, chunks: Int), strides: [Int]
    ) -> Command {
        let columns = context.inputs[0].columns
        return context.rowLaunch(
            "layer_norm_backward_parameters", family: "layer_norm", rows: context.columnTiles(columns),
            arguments: [.scratch(0), .input(4), .input(5), scale, .output(1), .output(2)] + modulation
                + [.int(columns), .int(isModulated ? 1 : 0), .int(units.count), .int(units.chunks)] + strides.map { .int($0) },
            traffic: Traffic(bytes: 8 * chunks.count * columns, flops: 2 * chunks.count * columns))
    }

    /// dscale and dshift are written beside dx; dweight and dbias, where they are wanted, are summed as without modulation.
    private func eachCommands(_ context: LaunchContext, _ chunks: RowChunks) -> [Command] {
        let x = context.inputs[0]
        let first = context.rowLaunch(
            "layer_norm_backward_each", family: "layer_norm", rows: chunks.count, indices: x.rows,
            arguments: [
                .input(0), .input(1), .input(2), .input(3), .input(4), .input(5), .input(6),
                .input(hasResidual ? residualIndex : 0), .output(0), .output(3), .output(4),
                hasAffine ? .scratch(0) : .output(0), .int(x.rows), .int(x.columns), .int(hasResidual ? 1 : 0),
                .int(hasAffine ? 1 : 0), .int(chunks.chunk), .int(context.inputStrides[6]), .int(context.outputStrides[3]),
                .int(context.outputStrides[4]),
            ], traffic: Traffic(bytes: (hasResidual ? 28 : 24) * x.count, flops: 20 * x.count))
        guard hasAffine else { return [first] }
        return [
            first,
            parameters(
                context, chunks, .input(4), [.output(1), .output(2)], isModulated: false, units: (chunks.count, 1),
                strides: [0, 0, 0]),
        ]
    }
}

extension Graph {
    /// LayerNorm over the last axis with `weight` and `bias`, then the modulation, all in one pass.
    public func layerNorm(
        _ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float, modulation: Modulation? = nil
    ) throws -> Tensor {
        let operation = LayerNorm(epsilon: epsilon, map: modulation?.map)
        return try apply(operation, [x, weight, bias] + (modulation.map { [$0.scale, $0.shift] } ?? []))[0]
    }
}
