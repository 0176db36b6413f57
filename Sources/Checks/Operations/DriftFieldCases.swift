import DriftGPU

/// Forces of the drift field and the products of radii.
enum DriftFieldCases: OperationCases {
    static let families = [OperationFamily("drift_field", all)]

    /// Every case.
    static let all = DriftReference.cases.map { drift in
        OperationCase(
            name: "drift field \(drift.name)", inputs: drift.inputs,
            build: { graph, x in
                let targets = drift.targets(x)
                let (distance, scale) = try graph.pairwiseDistance(x[0], to: targets)
                let field = try graph.driftField(
                    x[0], targets: targets, distance: distance, scale: scale, affinity: drift.affinity)
                return [field.force, field.products]
            },
            reference: { x in
                let force = drift.evaluate(x).force
                let rows = drift.groups * drift.samples
                var products: [Double] = []
                for q in force.indices {
                    for r in q..<force.count {
                        products += (0..<rows).map { row in
                            (0..<drift.width).reduce(0) {
                                $0 + force[q][row * drift.width + $1] * force[r][row * drift.width + $1]
                            }
                        }
                    }
                }
                return [force.flatMap { $0 }, products]
            })
    }
}
