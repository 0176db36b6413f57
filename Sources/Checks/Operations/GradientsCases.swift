import DriftGPU

/// What the chain rule adds up.
enum GradientsCases: OperationCases {
    static let families = [OperationFamily("gradients", all)]

    /// Values of several paths meet, some of them under another shape.
    static let all = [
        OperationCase(
            name: "accumulation", inputs: [.init(shape: [2, 3])],
            build: { graph, x in
                let doubled = try graph.add(x[0], x[0])
                return [try graph.add(graph.scale(doubled, by: 3), graph.gelu(x[0]))]
            },
            reference: { x in [x[0].map { 6 * $0 + ActivationCases.gelu($0) }] }),
        OperationCase(
            name: "reshape", inputs: [.init(shape: [2, 3])],
            build: { graph, x in
                let flat = try graph.reshape(x[0], [6])
                return [try graph.add(graph.gelu(flat), graph.reshape(graph.scale(x[0], by: 2), [6]))]
            },
            reference: { x in [x[0].map { ActivationCases.gelu($0) + 2 * $0 }] }),
    ]
}
