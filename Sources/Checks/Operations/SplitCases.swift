import DriftGPU

/// A tensor taken apart along an axis.
enum SplitCases: OperationCases {
    static let families = [OperationFamily("split", all)]

    /// Every case.
    static let all = middle + others

    /// [outer, parts, inner] along axis 1: one part, as many as a launch takes, more, and rows of every kind.
    static let middle: [OperationCase] = [
        make(3, 1, 4), make(2, 2, 7), make(5, 6, 50), make(3, 7, 1), make(1, 6, 33), make(4, 13, 5),
        make(1, 2, 4100), make(2, 7, 2050),
    ]

    static func make(_ outer: Int, _ parts: Int, _ inner: Int) -> OperationCase {
        OperationCase(
            name: "split \(outer) x \(parts) x \(inner)", inputs: [.init(shape: [outer, parts, inner])],
            build: { graph, x in try graph.split(x[0], axis: 1) },
            reference: { x in (0..<parts).map { part(x[0], $0, outer, parts, inner) } })
    }

    /// Part `index` of [outer, parts, inner].
    static func part(_ x: [Double], _ index: Int, _ outer: Int, _ parts: Int, _ inner: Int) -> [Double] {
        var y: [Double] = []
        for row in 0..<outer {
            let begin = (row * parts + index) * inner
            y += x[begin..<(begin + inner)]
        }
        return y
    }

    /// Along the first axis, and with a part nothing depends on: its gradient is zero.
    static let others: [OperationCase] = [
        OperationCase(
            name: "split first axis", inputs: [.init(shape: [3, 2, 5])],
            build: { graph, x in try graph.split(x[0], axis: 0) },
            reference: { x in (0..<3).map { part(x[0], $0, 1, 3, 10) } }),
        OperationCase(
            name: "split, one part used", inputs: [.init(shape: [3, 4, 5])],
            build: { graph, x in [try graph.split(x[0], axis: 1)[2]] },
            reference: { x in [part(x[0], 2, 3, 4, 5)] }),
    ]
}
