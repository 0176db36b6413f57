import DriftGPU

/// Parts of a tensor along an axis.
enum SliceCases: OperationCases {
    static let families = [OperationFamily("slice", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(1, 9, 5, 2..<6), make(3, 7, 1, 0..<3), make(4, 40, 7, 5..<40), make(2, 3, 50, 1..<2),
        // Few long rows, which are cut into pieces.
        make(1, 5, 1037, 1..<4), make(1, 9, 1024, 0..<1), make(1, 9, 1000, 8..<9), make(2, 7, 611, 3..<4),
    ]

    static func make(_ outer: Int, _ extent: Int, _ inner: Int, _ range: Range<Int>) -> OperationCase {
        OperationCase(
            name: "slice \(range) of \(outer) x \(extent) x \(inner)", inputs: [.init(shape: [outer, extent, inner])],
            build: { graph, x in [try graph.slice(x[0], axis: 1, range)] },
            reference: { x in
                var y: [Double] = []
                for row in 0..<outer {
                    let start = row * extent * inner
                    y += x[0][(start + range.lowerBound * inner)..<(start + range.upperBound * inner)]
                }
                return [y]
            })
    }
}
