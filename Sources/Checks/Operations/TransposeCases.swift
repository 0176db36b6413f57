import DriftGPU

/// Matrices of a batch transposed.
enum TransposeCases: OperationCases {
    static let families = [OperationFamily("transpose", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(1, 1, 1), make(2, 7, 50), make(3, 16, 32), make(2, 33, 64), make(1, 65, 17),
    ]

    static func make(_ batch: Int, _ m: Int, _ n: Int) -> OperationCase {
        OperationCase(
            name: "transpose \(batch) x \(m) x \(n)", inputs: [.init(shape: [batch, m, n])],
            build: { graph, x in [try graph.transpose(x[0])] },
            reference: { x in
                var y: [Double] = []
                for b in 0..<batch {
                    for j in 0..<n {
                        for i in 0..<m { y.append(x[0][(b * m + i) * n + j]) }
                    }
                }
                return [y]
            })
    }
}
