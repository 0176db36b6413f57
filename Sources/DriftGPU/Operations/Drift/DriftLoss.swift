/// The loss of the drift field. Inputs: gen [B, G, S], force [n, B, G, S], products [n (n + 1) / 2, B, G], scale [1];
/// outputs: loss [1], mean squared force of each temperature [n], what each force is multiplied by [n, parts], where a part
/// is all groups or each of them. The gradient reaches gen alone.
struct DriftLossOperation: Operation {
    let affinity: DriftAffinity

    var name: String { "drift_loss" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let count = affinity.temperatures.count
        guard inputs[1].shape == [count] + inputs[0].shape, inputs[0].rank == 3,
            inputs[2].shape == [count * (count + 1) / 2] + inputs[0].shape.prefix(2)
        else { throw GraphError("drift_loss: forces \(inputs[1]) and products \(inputs[2]) for gen \(inputs[0])") }
        return [TensorType([1]), TensorType([count]), TensorType([count, affinity.parts(inputs[0])])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let upstream = gradients[0] else { return [nil, nil, nil, nil] }
        let dgen = try graph.apply(
            DriftLossGradient(affinity: affinity), upstream, node.inputs[1], node.outputs[2], node.inputs[3])
        return [dgen[0], nil, nil, nil]
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        let parts = affinity.parts(context.inputs[0])
        // Of a single part the sums are the results.
        return parts == 1 ? [] : [TensorType([parts]), TensorType([affinity.temperatures.count, parts])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let gen = context.inputs[0]
        let parts = affinity.parts(gen)
        let sums: [Argument] = parts == 1 ? [.output(0), .output(1)] : [.scratch(0), .scratch(1)]
        let each = context.rowLaunch(
            "drift_loss_parts", family: name, defines: affinity.defines, rows: parts,
            arguments: [.input(2)] + sums + [
                .output(2), .int(parts), .int(gen.rows / parts), .int(gen.columns), .float(affinity.forceFloor),
                .float(affinity.forceEpsilon),
            ], traffic: Traffic(bytes: context.inputs[2].byteCount, flops: context.inputs[2].count))
        if parts == 1 { return [each] }
        // The means over the parts.
        return [each] + [(0, 1), (1, affinity.temperatures.count)].map { index, rows in
            context.rowLaunch(
                "row_sum_forward", family: "reduce", rows: rows,
                arguments: [.scratch(index), .output(index), .int(rows), .int(parts), .float(1 / Float(parts))],
                traffic: Traffic(bytes: 4 * rows * parts, flops: rows * parts))
        }
    }
}

/// Inputs: upstream [1], force [n, B, G, S], force weights [n, parts], scale [1]; output: dgen [B, G, S].
struct DriftLossGradient: Operation {
    let affinity: DriftAffinity

    var name: String { "drift_loss_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [TensorType(Array(inputs[1].shape.dropFirst()))] }
    func commands(_ context: LaunchContext) -> [Command] {
        let gen = context.outputs[0]
        let count = affinity.temperatures.count
        let parts = affinity.parts(gen)
        return [
            context.elementLaunch(
                name, family: "drift_loss", defines: affinity.defines, count: gen.count,
                indices: parts * ((gen.count / parts + context.traits.lanes - 1) / context.traits.lanes),
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(parts), .int(gen.rows / parts),
                    .int(gen.columns),
                ], traffic: Traffic(bytes: (count + 1) * gen.byteCount, flops: 2 * count * gen.count))
        ]
    }
}

/// The drift loss and what to log beside it. The loss itself says nothing about convergence, since every temperature's
/// force is scaled to unit size in it: plot `squaredForce` and `scale`.
public struct DriftLoss: Sendable {
    /// [1], mean over all groups.
    public var loss: Tensor
    /// [1], the weighted mean distance.
    public var scale: Tensor
    /// [n], mean squared force of each temperature before scaling.
    public var squaredForce: Tensor
}

extension Graph {
    /// The anti-symmetric drift loss of `gen` [B, G, S]: B groups of G samples, each drawn to the positives and away from the
    /// negatives and the other samples of its group. The scale is taken over all groups, the mean squared force over what
    /// `affinity` says. The gradient reaches `gen` through the loss alone, -2 V / (B G S) for the summed field V in units of
    /// the coordinates; the field is a constant.
    public func driftLoss(
        _ gen: Tensor, targets: DriftTargets, affinity: DriftAffinity = DriftAffinity()
    ) throws -> DriftLoss {
        let (distance, scale) = try pairwiseDistance(gen, to: targets)
        let field = try driftField(gen, targets: targets, distance: distance, scale: scale, affinity: affinity)
        let outputs = try apply(
            DriftLossOperation(affinity: affinity), gen, field.force, field.products,
            driftUnit(gen, scale: scale, affinity))
        return DriftLoss(loss: outputs[0], scale: scale, squaredForce: outputs[1])
    }
}
