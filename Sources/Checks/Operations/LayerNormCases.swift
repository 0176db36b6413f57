import DriftGPU

/// LayerNorm, plain and with a modulation behind it.
enum LayerNormCases: OperationCases {
    static let families = [OperationFamily("layer_norm", all)]

    /// Every case.
    static let all = plain + modulated + each + residual + parts

    static let epsilon = 1e-3

    /// Rows of `n` normalised in double precision, before weight and bias.
    static func normalised(_ x: [Double], _ n: Int) -> [Double] {
        stride(from: 0, to: x.count, by: n).flatMap { start -> [Double] in
            let row = x[start..<(start + n)]
            let mean = row.reduce(0, +) / Double(n)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)
            return row.map { ($0 - mean) / (variance + epsilon).squareRoot() }
        }
    }

    static let plain = [(1, 3), (3, 7), (5, 16), (9, 50), (2, 130), (70, 11), (1, 1037)].map { rows, n in
        OperationCase(
            name: "layer_norm \(rows) x \(n)",
            inputs: [.init(shape: [rows, n]), .init(shape: [n]), .init(shape: [n])],
            build: { graph, x in
                [try graph.layerNorm(x[0], weight: x[1], bias: x[2], epsilon: Float(epsilon))]
            },
            reference: { x in
                let normal = normalised(x[0], n)
                return [normal.indices.map { normal[$0] * x[1][$0 % n] + x[2][$0 % n] }]
            })
    }

    /// Labels, images of each, positions, width; one modulation per label or per label and position.
    static let modulated = [
        (2, 3, 5, false, 7), (3, 2, 4, true, 17), (1, 5, 1, false, 50), (2, 2, 20, false, 9), (1, 2, 2, true, 130),
    ].map(modulated)

    /// A modulation for each row.
    static let each = [(3, 1, 5, true, 7), (37, 1, 1, false, 50), (2, 1, 3, true, 130)].map(modulated)

    private static func modulated(
        _ labels: Int, _ images: Int, _ positions: Int, _ isPerPosition: Bool, _ n: Int
    ) -> OperationCase {
        let map = RowMap(span: images * positions, inner: isPerPosition ? positions : 1)
        let groups = labels * map.inner
        return OperationCase(
            name: "layer_norm \(labels) x \(images) x \(positions) x \(n), \(isPerPosition ? "per position" : "per label")",
            inputs: [
                .init(shape: [labels * images, positions, n]), .init(shape: [n]), .init(shape: [n]),
                .init(shape: [groups, n]), .init(shape: [groups, n]),
            ],
            build: { graph, x in
                [
                    try graph.layerNorm(
                        x[0], weight: x[1], bias: x[2], epsilon: Float(epsilon),
                        modulation: Modulation(shift: x[4], scale: x[3], map: map))
                ]
            },
            reference: { x in
                let normal = normalised(x[0], n)
                return [
                    normal.indices.map { index in
                        let (row, column) = (index / n, index % n)
                        let m = (row / map.span * map.inner + row % map.inner) * n + column
                        return (normal[index] * x[1][column] + x[2][column]) * (1 + x[3][m]) + x[4][m]
                    }
                ]
            })
    }

    /// x + LayerNorm(x), plain and modulated: the gradient that goes past the norm is added to the one through it.
    static let residual = (plain.filter { $0.name.contains("9 x 50") || $0.name.contains("70 x 11") } + modulated.prefix(2)
        + each.prefix(2)).map { inner in
        OperationCase(
            name: inner.name + ", residual", inputs: inner.inputs,
            build: { graph, x in [try graph.add(x[0], inner.build(graph, x)[0])] },
            reference: { x in [zip(x[0], inner.reference(x)[0]).map { $0 + $1 }] })
    }

    /// Shift, scale and gate as the parts of one tensor [groups, 3, n], which are read where they lie, and so their gradients
    /// written: x + gate LayerNorm(x), the norm without parameters of its own where `isBare`.
    static let parts = [
        (RowMap(span: 1), 9, 7, false), (RowMap(span: 1), 37, 32, true), (RowMap(span: 6), 12, 50, true),
        (RowMap(span: 6, inner: 3), 12, 16, false), (RowMap(span: 100), 200, 9, false),
    ].map { map, rows, n, isBare in
        let groups = rows / map.span * map.inner
        let affine: [OperationCase.Input] = isBare ? [] : [.init(shape: [n]), .init(shape: [n])]
        return OperationCase(
            name: "layer_norm \(rows) x \(n) of span \(map.span) and inner \(map.inner), modulation in parts\(isBare ? ", bare" : "")",
            inputs: [.init(shape: [rows, n]), .init(shape: [groups, 3, n])] + affine,
            build: { graph, x in
                let m = try graph.split(x[1], axis: 1)
                let weight = try isBare ? graph.constant("ones", [Float](repeating: 1, count: n), [n]) : x[2]
                let bias = try isBare ? graph.constant("zeros", [Float](repeating: 0, count: n), [n]) : x[3]
                let y = try graph.layerNorm(
                    x[0], weight: weight, bias: bias, epsilon: Float(epsilon),
                    modulation: Modulation(shift: m[0], scale: m[1], map: map))
                return [try graph.residual(x[0], y, gate: m[2], map: map)]
            },
            reference: { x in
                let normal = normalised(x[0], n)
                return [
                    normal.indices.map { index in
                        let (row, column) = (index / n, index % n)
                        let m = (row / map.span * map.inner + row % map.inner) * 3 * n + column
                        let affine = isBare ? normal[index] : normal[index] * x[2][column] + x[3][column]
                        return x[0][index] + x[1][m + 2 * n] * (affine * (1 + x[1][m + n]) + x[1][m])
                    }
                ]
            })
    }
}
