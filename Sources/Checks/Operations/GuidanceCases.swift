import DriftGPU

/// The guided half of a batch.
enum GuidanceCases: OperationCases {
    static let families = [OperationFamily("guidance", all, untimed: "sampling; bench sample times it with the rest")]

    /// Every case.
    static let all: [OperationCase] = [
        make([2, 1], 1.3), make([4, 3, 7], 0), make([6, 16, 16], 4.5), make([2, 1500], -0.5),
        make([4, 3, 7], 0, 2.5), make([12, 33], 1, 1.5, 4), make([8, 64], 3, 2, 0.5, 1),
    ]

    static func make(_ shape: [Int], _ cfg: Float...) -> OperationCase {
        OperationCase(
            name: "guidance \(shape.map(String.init).joined(separator: " x ")) by \(cfg.map { "\($0)" }.joined(separator: ", "))",
            inputs: [
                .init(shape: shape, isDifferentiable: false),
                .init(shape: [cfg.count], values: .floats(cfg), isDifferentiable: false),
            ],
            build: { graph, x in [try graph.guidance(x[0], by: x[1])] },
            reference: { x in
                let half = x[0].count / 2
                return [(0..<half).map { x[0][half + $0] + x[1][$0 * cfg.count / half] * (x[0][$0] - x[0][half + $0]) }]
            })
    }
}
