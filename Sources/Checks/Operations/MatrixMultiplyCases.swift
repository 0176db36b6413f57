import DriftGPU

/// Matrix products.
enum MatrixMultiplyCases: OperationCases {
    static let families = [OperationFamily("matrix_multiply", all)]

    /// Every case.
    static let all = single + [long, blocks] + batches

    /// C = alpha op(A) op(B) in double precision, row-major and dense, `batch` times.
    static func product(
        _ a: [Double], _ b: [Double], m: Int, n: Int, k: Int, transposeA: Bool = false, transposeB: Bool = false,
        alpha: Double = 1, batch: Int = 1
    ) -> [Double] {
        var c = [Double](repeating: 0, count: batch * m * n)
        for entry in 0..<batch {
            for i in 0..<m {
                for j in 0..<n {
                    var sum = 0.0
                    for step in 0..<k {
                        let left = a[entry * m * k + (transposeA ? step * m + i : i * k + step)]
                        sum += left * b[entry * k * n + (transposeB ? j * k + step : step * n + j)]
                    }
                    c[(entry * m + i) * n + j] = alpha * sum
                }
            }
        }
        return c
    }

    static func shapeOf(_ rows: Int, _ columns: Int, transposed: Bool) -> [Int] {
        transposed ? [columns, rows] : [rows, columns]
    }

    /// Whole tiles, tails of every kind, thin matrices, and a K long enough to be split.
    static let single: [OperationCase] = [
        (1, 1, 1), (12, 32, 16), (13, 33, 17), (25, 4, 20), (17, 50, 5), (4, 10, 520),
    ].flatMap { m, n, k in
        [(false, false), (false, true), (true, false), (true, true)].map { transposeA, transposeB in
            OperationCase(
                name: "\(m) x \(n) x \(k)\(transposeA ? " A^T" : "")\(transposeB ? " B^T" : "")",
                inputs: [
                    .init(shape: shapeOf(m, k, transposed: transposeA)), .init(shape: shapeOf(k, n, transposed: transposeB)),
                ],
                build: { graph, x in
                    [try graph.matrixMultiply(x[0], x[1], transposeA: transposeA, transposeB: transposeB, alpha: 0.5)]
                },
                reference: { x in
                    [product(x[0], x[1], m: m, n: n, k: k, transposeA: transposeA, transposeB: transposeB, alpha: 0.5)]
                })
        }
    }

    /// The gradient of a weight: few rows of a long K, which is read in parts.
    static let long = OperationCase(
        name: "5 x 256 x 2050 A^T",
        inputs: [
            .init(shape: [2050, 5], isDifferentiable: false), .init(shape: [2050, 256], isDifferentiable: false),
        ],
        build: { graph, x in [try graph.matrixMultiply(x[0], x[1], transposeA: true)] },
        reference: { x in [product(x[0], x[1], m: 5, n: 256, k: 2050, transposeA: true)] })

    /// Rows and columns for several work-groups, and a K that each of them reads in parts while it keeps its sums.
    static let blocks = OperationCase(
        name: "100 x 70 x 530 A^T",
        inputs: [
            .init(shape: [530, 100], isDifferentiable: false), .init(shape: [530, 70], isDifferentiable: false),
        ],
        build: { graph, x in [try graph.matrixMultiply(x[0], x[1], transposeA: true)] },
        reference: { x in [product(x[0], x[1], m: 100, n: 70, k: 530, transposeA: true)] })

    static let batches = [(3, 13, 17, 9), (1, 5, 4, 3)].flatMap { batch, m, n, k in
        [(false, false), (false, true), (true, true)].map { transposeA, transposeB in
            OperationCase(
                name: "\(batch) times \(m) x \(n) x \(k)\(transposeA ? " A^T" : "")\(transposeB ? " B^T" : "")",
                inputs: [
                    .init(shape: [batch] + shapeOf(m, k, transposed: transposeA)),
                    .init(shape: [batch] + shapeOf(k, n, transposed: transposeB)),
                ],
                build: { graph, x in
                    [try graph.matrixMultiply(x[0], x[1], transposeA: transposeA, transposeB: transposeB)]
                },
                reference: { x in
                    [product(x[0], x[1], m: m, n: n, k: k, transposeA: transposeA, transposeB: transposeB, batch: batch)]
                })
        }
    }
}
