import DriftGPU

/// Rows divided by their root mean square, with and without a weight, and rows of unit length.
enum RMSNormCases: OperationCases {
    static let families = [OperationFamily("rms_norm", all)]

    /// Every case.
    static let all: [OperationCase] =
        [[3, 5], [17, 64], [1, 1], [2, 9, 33], [260, 16], [2, 1030]].map { shape in
            OperationCase(
                name: "rms_norm \(shape)", inputs: [.init(shape: shape)],
                build: { graph, x in [try graph.rmsNorm(x[0], epsilon: 1e-3)] },
                reference: { x in [rows(x[0], shape.last ?? 1) { 1 / ($0 / Double($1) + 1e-3).squareRoot() }] })
        }
        + [[3, 5], [17, 64], [2, 9, 33], [260, 16], [2, 1030]].map { shape in
            let width = shape.last ?? 1
            return OperationCase(
                name: "rms_norm \(shape), weight",
                inputs: [.init(shape: shape), .init(shape: [width], values: .uniform(0.5, 2))],
                build: { graph, x in [try graph.rmsNorm(x[0], weight: x[1], epsilon: 1e-3)] },
                reference: { x in
                    let normed = rows(x[0], width) { 1 / ($0 / Double($1) + 1e-3).squareRoot() }
                    return [normed.enumerated().map { $1 * x[1][$0 % width] }]
                })
        }
        + [
            OperationCase(
                name: "unit rows", inputs: [.init(shape: [7, 50])],
                build: { graph, x in [try graph.unitRows(x[0])] },
                reference: { x in [rows(x[0], 50) { square, _ in 1 / square.squareRoot() }] })
        ]

    /// Each row times `factor` of its sum of squares and its width.
    private static func rows(_ x: [Double], _ width: Int, _ factor: (Double, Int) -> Double) -> [Double] {
        stride(from: 0, to: x.count, by: width).flatMap { start in
            let row = x[start..<(start + width)]
            let f = factor(row.reduce(0) { $0 + $1 * $1 }, width)
            return row.map { $0 * f }
        }
    }
}
