import DriftGPU

/// Linear layers, alone and with what is fused behind them.
enum LinearCases: OperationCases {
    static let families = [OperationFamily("linear", all)]

    /// Every case.
    static let all = plain + sums + perceptrons + residuals

    static func linear(_ x: [Double], _ weight: [Double], _ bias: [Double]?, rows: Int, n: Int, k: Int) -> [Double] {
        var y = MatrixMultiplyCases.product(x, weight, m: rows, n: n, k: k, transposeB: true)
        if let bias { for index in y.indices { y[index] += bias[index % n] } }
        return y
    }

    static let plain = [(6, 4, 5), (50, 33, 7), (26, 64, 16), (300, 4, 3), (300, 36, 2)].flatMap { rows, n, k in
        [true, false].map { hasBias in
            OperationCase(
                name: "linear \(rows) x \(n) x \(k)\(hasBias ? " with bias" : "")",
                inputs: [.init(shape: [2, rows / 2, k]), .init(shape: [n, k])] + (hasBias ? [.init(shape: [n])] : []),
                build: { graph, x in [try graph.linear(x[0], weight: x[1], bias: hasBias ? x[2] : nil)] },
                reference: { x in [linear(x[0], x[1], hasBias ? x[2] : nil, rows: rows, n: n, k: k)] })
        }
    }

    /// A sum behind the product becomes part of it.
    static let sums = [(13, 33, 17), (24, 64, 16)].map { rows, n, k in
        OperationCase(
            name: "linear and add \(rows) x \(n) x \(k)",
            inputs: [.init(shape: [rows, k]), .init(shape: [n, k]), .init(shape: [n]), .init(shape: [rows, n])],
            build: { graph, x in [try graph.add(x[3], graph.linear(x[0], weight: x[1], bias: x[2]))] },
            reference: { x in [zip(linear(x[0], x[1], x[2], rows: rows, n: n, k: k), x[3]).map { $0 + $1 }] })
    }

    /// A two-layer perceptron: GELU or SiLU behind a product, its derivative behind the product of its gradient.
    static let perceptrons = [(13, 40, 9, false), (24, 64, 16, false), (13, 40, 9, true), (24, 64, 16, true)].map { rows, n, k, isSiLU in
        OperationCase(
            name: "perceptron \(rows) x \(n) x \(k)\(isSiLU ? ", silu" : "")",
            inputs: [.init(shape: [rows, k]), .init(shape: [n, k]), .init(shape: [n]), .init(shape: [k, n])],
            build: { graph, x in
                let opened = try graph.linear(x[0], weight: x[1], bias: x[2])
                return [try graph.linear(isSiLU ? graph.silu(opened) : graph.gelu(opened), weight: x[3])]
            },
            reference: { x in
                let hidden = linear(x[0], x[1], x[2], rows: rows, n: n, k: k)
                    .map(isSiLU ? ActivationCases.silu : ActivationCases.gelu)
                return [linear(hidden, x[3], nil, rows: rows, n: k, k: n)]
            })
    }

    /// A gated residual behind the product, one gate for each label or for each label and position.
    static let residuals = [(RowMap(span: 6), 4), (RowMap(span: 6, inner: 3), 12)].map { map, groups in
        OperationCase(
            name: "gated residual, inner \(map.inner)",
            inputs: [
                .init(shape: [24, 8]), .init(shape: [40, 8]), .init(shape: [40]), .init(shape: [24, 40]),
                .init(shape: [groups, 40]),
            ],
            build: { graph, x in
                [try graph.residual(x[3], graph.linear(x[0], weight: x[1], bias: x[2]), gate: x[4], map: map)]
            },
            reference: { x in
                let h = linear(x[0], x[1], x[2], rows: 24, n: 40, k: 8)
                return [
                    h.indices.map { index in
                        let row = index / 40
                        let group = row / map.span * map.inner + row % map.inner
                        return x[3][index] + x[4][group * 40 + index % 40] * h[index]
                    }
                ]
            })
    }
}
