import TestSupport
import Testing

@testable import DriftGPU

@Suite struct LayerNormTests {
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
    static let modulated = [(2, 3, 5, false, 7), (3, 2, 4, true, 17), (1, 5, 1, false, 50), (2, 2, 20, false, 9), (1, 2, 2, true, 130)]
        .map { labels, images, positions, isPerPosition, n in
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

    @Test(arguments: plain + modulated, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    @Test func gradientWithoutParametersIsOneLaunch() throws {
        let graph = Graph()
        let x = try graph.input("x", [6, 10])
        let weight = try graph.constant("weight", [Float](repeating: 2, count: 10), [10])
        let y = try graph.layerNorm(x, weight: weight, bias: weight, epsilon: 1e-6)
        _ = try graph.gradients(of: [(y, graph.input("seed", [6, 10]))], withRespectTo: [x])
        let gradient = try #require(graph.nodes.last { $0.operation is LayerNormGradient })
        #expect(gradient.outputs.count == 1)
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, wide, narrow) = (try graph.input("x", [4, 6]), try graph.input("w", [6]), try graph.input("n", [5]))
        #expect(throws: GraphError.self) { try graph.layerNorm(x, weight: narrow, bias: wide, epsilon: 0) }
        #expect(throws: GraphError.self) { try graph.layerNorm(x, weight: wide, bias: narrow, epsilon: 0) }
        let rows = try graph.input("rows", [3, 6])
        for map in [RowMap(span: 2), RowMap(span: 3), RowMap(span: 0), RowMap(span: 4, inner: 3)] {
            #expect(throws: GraphError.self) {
                try graph.layerNorm(
                    x, weight: wide, bias: wide, epsilon: 0, modulation: Modulation(shift: rows, scale: rows, map: map))
            }
        }
    }
}
