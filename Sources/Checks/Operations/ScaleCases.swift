import DriftGPU

/// Products with a number of the host or of the device, and constants.
enum ScaleCases: OperationCases {
    static let families = [OperationFamily("scale", all)]

    /// Every case.
    static let all: [OperationCase] = [1, 15, 50, 1037].flatMap(make)

    static func make(_ count: Int) -> [OperationCase] {
        [
            OperationCase(
                name: "scale \(count)", inputs: [.init(shape: [count])],
                build: { graph, x in [try graph.scale(x[0], by: -2.5)] }, reference: { x in [x[0].map { -2.5 * $0 }] }),
            OperationCase(
                name: "scale_by \(count)", inputs: [.init(shape: [count]), .init(shape: [1], isDifferentiable: false)],
                build: { graph, x in [try graph.scale(x[0], by: x[1], factor: -1, offset: 1)] },
                reference: { x in
                    let factor = 1 - x[1][0]
                    return [x[0].map { factor * $0 }]
                }),
            OperationCase(
                name: "fill \(count)", inputs: [], build: { graph, _ in [try graph.fill([count], with: 0.75)] },
                reference: { _ in [[Double](repeating: 0.75, count: count)] }),
        ]
    }
}
