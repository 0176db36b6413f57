import DriftGPU

/// Rows repeated for the images of a label, and its gradient.
enum RepeatCases: OperationCases {
    static let families = [OperationFamily("repeat", all)]

    static let sizes: [(Int, Int, Int)] = [(1, 1, 5), (3, 4, 1), (2, 5, 7), (3, 2, 50), (1, 300, 9)]

    /// Every case.
    static let all: [OperationCase] = sizes.map(repeating) + sizes.map(summing)

    static func repeating(_ outer: Int, _ group: Int, _ inner: Int) -> OperationCase {
        OperationCase(
            name: "repeat \(outer) x \(group) x \(inner)", inputs: [.init(shape: [outer, inner])],
            build: { graph, x in [try graph.repeatEach(x[0], times: group)] },
            reference: { x in
                var y: [Double] = []
                for row in 0..<(outer * group) { y += x[0][(row / group * inner)..<((row / group + 1) * inner)] }
                return [y]
            })
    }

    static func summing(_ outer: Int, _ group: Int, _ inner: Int) -> OperationCase {
        OperationCase(
            name: "sum_groups \(outer) x \(group) x \(inner)", inputs: [.init(shape: [outer, group, inner])],
            build: { graph, x in [try graph.sumGroups(x[0])] },
            reference: { x in
                var y = [Double](repeating: 0, count: outer * inner)
                for (index, value) in x[0].enumerated() { y[index / (group * inner) * inner + index % inner] += value }
                return [y]
            })
    }
}
