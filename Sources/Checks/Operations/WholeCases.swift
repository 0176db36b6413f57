import DriftGPU

/// Numbers as integers.
enum WholeCases: OperationCases {
    static let families = [OperationFamily("whole", all)]

    /// Every case.
    static let all: [OperationCase] = [[1], [3, 7], [5000]].map { shape in
        OperationCase(
            name: "whole \(shape)",
            inputs: [.init(shape: shape, values: .uniform(-1000, 1000), isDifferentiable: false)],
            build: { graph, x in [try graph.whole(x[0])] },
            reference: { x in [x[0].map { $0.rounded(.toNearestOrEven) }] })
    }
}
