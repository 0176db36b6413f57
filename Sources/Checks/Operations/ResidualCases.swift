import DriftGPU

/// Residual connections, plain and gated.
enum ResidualCases: OperationCases {
    static let families = [OperationFamily("residual", all)]

    /// Every case.
    static let all = small + large

    static let small = [
        (1, 1, 1, false, 1), (2, 3, 5, false, 7), (3, 2, 4, true, 50), (1, 9, 2, true, 130), (1, 1, 2, false, 1037),
    ].flatMap { labels, images, positions, isPerPosition, n in
        let map = RowMap(span: images * positions, inner: isPerPosition ? positions : 1)
        let shape = [labels * images, positions, n]
        let size = "\(labels) x \(images) x \(positions) x \(n)"
        return [
            OperationCase(
                name: "residual \(size)", inputs: [.init(shape: shape), .init(shape: shape)],
                build: { graph, x in [try graph.residual(x[0], x[1])] },
                reference: { x in [zip(x[0], x[1]).map { $0.0 + $0.1 }] }),
            OperationCase(
                name: "gated residual \(size), \(isPerPosition ? "per position" : "per label")",
                inputs: [.init(shape: shape), .init(shape: shape), .init(shape: [labels * map.inner, n])],
                build: { graph, x in [try graph.residual(x[0], x[1], gate: x[2], map: map)] },
                reference: { x in
                    [
                        x[0].indices.map { index in
                            let row = index / n
                            let m = (row / map.span * map.inner + row % map.inner) * n + index % n
                            return x[0][index] + x[2][m] * x[1][index]
                        }
                    ]
                }),
        ]
    }

    /// Large enough for sums in several chunks; gradients against their formulas.
    static let large = [(1, 4, 100, false, 129), (2, 250, 2, true, 33)].map { labels, images, positions, isPerPosition, n in
        let map = RowMap(span: images * positions, inner: isPerPosition ? positions : 1)
        let shape = [labels * images, positions, n]
        return OperationCase(
            name: "gated residual \(labels) x \(images) x \(positions) x \(n) in chunks",
            inputs: [shape, [labels * map.inner, n], shape].map { .init(shape: $0, isDifferentiable: false) },
            build: { graph, x in
                let y = try graph.residual(x[0], x[0], gate: x[1], map: map)
                return try graph.gradients(of: [(y, x[2])], withRespectTo: Array(x[0..<2])).compactMap { $0 }
            },
            reference: { x in
                var dx = x[2]
                var dgate = x[1].map { _ in 0.0 }
                for index in dx.indices {
                    let row = index / n
                    let m = (row / map.span * map.inner + row % map.inner) * n + index % n
                    dx[index] *= 1 + x[1][m]
                    dgate[m] += x[2][index] * x[0][index]
                }
                return [dx, dgate]
            })
    }
}
