import DriftGPU

/// Sums of two tensors.
enum AddCases: OperationCases {
    static let families = [OperationFamily("add", all)]

    /// Every case.
    static let all = [1, 7, 50, 1037].map { count in
        OperationCase(
            name: "add \(count)", inputs: [.init(shape: [count]), .init(shape: [count])],
            build: { graph, x in [try graph.add(x[0], x[1])] },
            reference: { x in [zip(x[0], x[1]).map { $0 + $1 }] })
    }
}
