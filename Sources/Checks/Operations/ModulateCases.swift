import DriftGPU

/// Shift and scale by label, or by label and position.
enum ModulateCases: OperationCases {
    static let families = [OperationFamily("modulate", all)]

    /// Every case.
    static let all = small + large

    static let small = [
        (1, 1, 1, false, 1), (2, 3, 5, false, 7), (3, 2, 4, true, 50), (1, 9, 2, true, 130), (1, 1, 2, false, 1037),
    ].map { labels, images, positions, isPerPosition, n in
        let map = RowMap(span: images * positions, inner: isPerPosition ? positions : 1)
        let groups = labels * map.inner
        return OperationCase(
            name: "modulate \(labels) x \(images) x \(positions) x \(n), \(isPerPosition ? "per position" : "per label")",
            inputs: [.init(shape: [labels * images, positions, n]), .init(shape: [groups, n]), .init(shape: [groups, n])],
            build: { graph, x in [try graph.modulate(x[0], Modulation(shift: x[2], scale: x[1], map: map))] },
            reference: { x in
                [
                    x[0].indices.map { index in
                        let row = index / n
                        let m = (row / map.span * map.inner + row % map.inner) * n + index % n
                        return x[0][index] * (1 + x[1][m]) + x[2][m]
                    }
                ]
            })
    }

    /// Large enough for sums in several chunks; gradients against their formulas.
    static let large = [(1, 4, 100, false, 129), (2, 250, 2, true, 33)].map { labels, images, positions, isPerPosition, n in
        let map = RowMap(span: images * positions, inner: isPerPosition ? positions : 1)
        let shape = [labels * images, positions, n]
        let groups = labels * map.inner
        return OperationCase(
            name: "modulate \(labels) x \(images) x \(positions) x \(n) in chunks",
            inputs: [shape, [groups, n], [groups, n], shape].map { .init(shape: $0, isDifferentiable: false) },
            build: { graph, x in
                let y = try graph.modulate(x[0], Modulation(shift: x[2], scale: x[1], map: map))
                return try graph.gradients(of: [(y, x[3])], withRespectTo: Array(x[0..<3])).compactMap { $0 }
            },
            reference: { x in
                var dx = x[3]
                var dscale = x[1].map { _ in 0.0 }
                var dshift = dscale
                for index in dx.indices {
                    let row = index / n
                    let m = (row / map.span * map.inner + row % map.inner) * n + index % n
                    dx[index] *= 1 + x[1][m]
                    dscale[m] += x[3][index] * x[0][index]
                    dshift[m] += x[3][index]
                }
                return [dx, dscale, dshift]
            })
    }
}
