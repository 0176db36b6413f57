import DriftGPU

/// The anti-symmetric drift loss.
enum DriftLossCases: OperationCases {
    static let families = [OperationFamily("drift_loss", all)]

    /// The gradient is an output here, against its formula: the field is a constant of the loss, so that central differences
    /// would measure something else.
    static let all = DriftReference.cases.map { drift in
        OperationCase(
            name: "drift loss \(drift.name)", inputs: drift.inputs,
            build: { graph, x in
                let result = try graph.driftLoss(x[0], targets: drift.targets(x), affinity: drift.affinity)
                guard let gradient = try graph.gradients(of: result.loss, withRespectTo: [x[0]])[0] else {
                    throw GraphError("no gradient reaches the samples")
                }
                return [result.loss, result.scale, result.squaredForce, gradient]
            },
            reference: { x in
                let result = drift.evaluate(x)
                return [[result.loss], [result.scale], result.squaredForce, result.gradient]
            })
    }
}
