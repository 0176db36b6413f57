import DriftGPU

/// Two axes exchanged.
enum PermuteCases: OperationCases {
    static let families = [OperationFamily("permute", all)]

    /// Every case.
    static let all: [OperationCase] = [make(2, 3, 5, 1), make(1, 4, 2, 7), make(3, 2, 3, 50), make(2, 5, 1, 16)]

    static func make(_ outer: Int, _ m: Int, _ n: Int, _ width: Int) -> OperationCase {
        OperationCase(
            name: "permute \(outer) x \(m) x \(n) x \(width)", inputs: [.init(shape: [outer, m, n, width])],
            build: { graph, x in [try graph.permute(x[0], axis: 1)] },
            reference: { x in
                var y: [Double] = []
                for o in 0..<outer {
                    for j in 0..<n {
                        for i in 0..<m {
                            let start = ((o * m + i) * n + j) * width
                            y += x[0][start..<(start + width)]
                        }
                    }
                }
                return [y]
            })
    }
}
