import DriftGPU

/// Tensors put together along an axis.
enum ConcatCases: OperationCases {
    static let families = [OperationFamily("concat", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(1, [3, 4], 5), make(3, [1, 2, 7], 1), make(4, [16, 33], 7), make(2, [1, 1], 50),
        // Few long rows, which are cut into pieces; alike inputs and others.
        make(1, [1500, 1200], 3), make(2, [3, 5], 700), make(2, [4, 4], 611),
    ]

    /// Extents before, along (of each input) and after the axis.
    static func make(_ outer: Int, _ extents: [Int], _ inner: Int) -> OperationCase {
        OperationCase(
            name: "concat \(outer) x \(extents) x \(inner)", inputs: extents.map { .init(shape: [outer, $0, inner]) },
            build: { graph, x in [try graph.concat(x, axis: 1)] },
            reference: { x in
                var y: [Double] = []
                for row in 0..<outer {
                    for (values, extent) in zip(x, extents) {
                        y += values[(row * extent * inner)..<((row + 1) * extent * inner)]
                    }
                }
                return [y]
            })
    }
}
