/// LayerNorm over the last axis, modulated where `map` is set.
///
/// Inputs: x [..., D], weight, bias [D], then scale and shift with a map. Outputs: y, and mean and rstd of each row, which
/// the gradient reads.
struct LayerNorm: Operation {
    let epsilon: Float
    let map: RowMap?

    var name: String { "layer_norm" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
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
        let operation = LayerNormGradient(map: map, hasParameters: needs.dropFirst().contains(true))
        return try graph.apply(
            operation, [dy, x, node.outputs[1], node.outputs[2], weight, bias] + (map == nil ? [] : [node.inputs[3]]))
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let map = self.map ?? RowMap(span: x.rows)
        let modulation: [Argument] = self.map == nil ? [.input(0), .input(0)] : [.input(3), .input(4)]
        return [
            context.shareLaunch(
                name + "_forward", family: name, rows: x.rows, columns: x.columns,
                arguments: [.input(0), .input(1), .input(2)] + modulation + [.output(0), .output(1), .output(2)]
                    + [.int(x.rows), .int(x.columns), .float(epsilon), .int(self.map == nil ? 0 : 1)] + map.arguments
                    + [.int(x.columns), .int(x.columns)],
                traffic: Traffic(bytes: 8 * x.count, flops: 8 * x.count))
        ]
    }
}

/// Gradients of LayerNorm. Inputs: dy, x, mean, rstd, weight, bias, then scale with a map, then a residual if one is added
/// to dx. Outputs: dx; then, with parameters, dweight, dbias and, with a map, dscale and dshift.
struct LayerNormGradient: Operation {
    let map: RowMap?
    let hasParameters: Bool
    var hasResidual = false

    var name: String { hasResidual ? "layer_norm_backward_add" : "layer_norm_backward" }
    private var residualIndex: Int { map == nil ? 6 : 7 }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] + (hasResidual ? [(residualIndex, 0)] : []) }
    /// The gradient that reaches x past the normalised branch is added where dx is written.
    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard consumer is Add, !hasResidual, !keepsIntermediate, consumerInputs[1 - index].count == inputs[1].count else {
            return nil
        }
        return LayerNormGradient(map: map, hasParameters: hasParameters, hasResidual: true)
    }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard hasParameters else { return [inputs[1]] }
        return [inputs[1], inputs[4], inputs[5]] + (map == nil ? [] : [inputs[6], inputs[6]])
    }
    private func chunks(_ context: LaunchContext) -> RowChunks {
        let rows = context.inputs[0].rows
        return RowChunks(
            map ?? RowMap(span: rows), rows: rows, parts: context.sumParts, least: context.traits.isGPUShape ? 4 : 16)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        [TensorType([chunks(context).count, 2, context.inputs[0].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let chunks = chunks(context)
        let map = self.map ?? RowMap(span: x.rows)
        let isModulated = self.map != nil
        let scale: Argument = isModulated ? .input(6) : .input(1)
        let first = context.rowLaunch(
            "layer_norm_backward", family: "layer_norm", rows: chunks.count, indices: x.rows,
            arguments: [.input(0), .input(1), .input(2), .input(3), .input(4), scale]
                + [.input(hasResidual ? residualIndex : 0), .output(0), .scratch(0)]
                + [.int(x.rows), .int(x.columns), .int(isModulated ? 1 : 0), .int(hasResidual ? 1 : 0)] + map.arguments
                + [.int(chunks.chunk), .int(x.columns)],
            traffic: Traffic(bytes: (hasResidual ? 16 : 12) * x.count, flops: 14 * x.count))
        guard hasParameters else { return [first] }
        let modulation: [Argument] = isModulated ? [.output(3), .output(4)] : [.output(1), .output(2)]
        let units = isModulated ? (chunks.groups, chunks.perGroup) : (chunks.count, 1)
        let second = context.rowLaunch(
            "layer_norm_backward_parameters", family: "layer_norm", rows: context.columnTiles(x.columns),
            arguments: [.scratch(0), .input(4), .input(5), scale, .output(1), .output(2)] + modulation
                + [.int(x.columns), .int(isModulated ? 1 : 0), .int(units.0), .int(units.1)]
                + Array(repeating: .int(x.columns), count: 3),
            traffic: Traffic(bytes: 8 * chunks.count * x.columns, flops: 2 * chunks.count * x.columns))
        return [first, second]
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
