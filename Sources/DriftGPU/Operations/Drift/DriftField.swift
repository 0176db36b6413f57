/// The force of the targets on every sample, for each temperature. Inputs: those of `DriftInputs`, then distance [B, G, T],
/// scale [1], temperatures [n], row state, column state; outputs: force [n, B, G, S] and the products of the forces of
/// each pair of temperatures [n (n + 1) / 2, B, G]. No gradient flows.
struct DriftField: Operation {
    let drift: DriftInputs
    let affinity: DriftAffinity

    var name: String { "drift_field" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let sizes = try drift.check(inputs, name)
        let distance = inputs[drift.count]
        guard distance.shape == [sizes.groups, sizes.samples, sizes.targets] else {
            throw GraphError("drift_field: distances \(distance) for \(inputs[0]) and \(sizes.targets) targets")
        }
        let count = affinity.temperatures.count
        return [
            TensorType([count] + inputs[0].shape), TensorType([count * (count + 1) / 2, sizes.groups, sizes.samples]),
        ]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [Tensor?](repeating: nil, count: node.inputs.count)
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let sizes = drift.sizes(context.inputs)
        let pairs = context.inputs[drift.count].count
        let count = affinity.temperatures.count
        let points = sizes.groups * (sizes.negatives + sizes.positives) * sizes.width + context.inputs[0].count
        // distance, scale, temperatures, row state, column state
        let others = (0..<5).map { Argument.input(drift.count + $0) }
        return [
            context.rowLaunch(
                "drift_field_forward", family: name, defines: affinity.defines, rows: sizes.blocks(4),
                indices: (1 + count) * sizes.samples,
                arguments: drift.points + drift.weights + others + [.output(0), .output(1)] + sizes.arguments
                    + [
                        .int(sizes.width), .int(drift.isWeighted ? 1 : 0), .float(affinity.selfPenalty),
                        .float(affinity.floor),
                    ],
                traffic: Traffic(
                    bytes: 4 * (pairs + points + context.outputs[0].count),
                    flops: count * pairs * (2 * sizes.width + 15)))
        ]
    }
}

extension Graph {
    /// The force on every sample of `gen` [B, G, S] for each temperature, in units of scale / sqrt(S), or of the coordinates
    /// where `affinity` measures distances in sqrt(S): [n, B, G, S]; and the products force[q] . force[r] over the coordinates,
    /// for q <= r: [n (n + 1) / 2, B, G]. `distance` and `scale` are those of `pairwiseDistance`. All are constants.
    public func driftField(
        _ gen: Tensor, targets: DriftTargets, distance: Tensor, scale: Tensor, affinity: DriftAffinity
    ) throws -> (force: Tensor, products: Tensor) {
        let scale = try driftUnit(gen, scale: scale, affinity)
        let states = try doublyStochastic(distance, scale: scale, affinity, includesSamples: targets.includesSamples)
        let outputs = try apply(
            DriftField(drift: DriftInputs(targets), affinity: affinity),
            DriftInputs.tensors(gen, targets) + [distance, scale, temperatures(affinity), states.rows, states.columns])
        return (outputs[0], outputs[1])
    }
}
