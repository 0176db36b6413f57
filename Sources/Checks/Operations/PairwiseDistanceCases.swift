import DriftGPU

/// Distances of samples to targets and their mean.
enum PairwiseDistanceCases: OperationCases {
    static let families = [OperationFamily("pairwise_distance", all)]

    /// Every case.
    static let all = DriftReference.cases.map { drift in
        OperationCase(
            name: "pairwise distance \(drift.name)", inputs: drift.inputs,
            build: { graph, x in
                let result = try graph.pairwiseDistance(x[0], to: drift.targets(x))
                return [result.distance, result.scale]
            },
            reference: { x in
                let result = drift.evaluate(x)
                return [result.distance, [result.scale]]
            }, tolerance: 1e-6)
    }
}
