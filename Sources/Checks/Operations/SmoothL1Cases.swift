import DriftGPU

/// The smooth L1 loss against the next position.
enum SmoothL1Cases: OperationCases {
    static let families = [OperationFamily("smooth_l1", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(2, 5, 7, 1), make(3, 16, 48, 0), make(1, 9, 50, 1), make(2, 2, 1, 1), make(1, 70, 130, 0),
    ]

    static func make(_ batch: Int, _ positions: Int, _ width: Int, _ shift: Int) -> OperationCase {
        OperationCase(
            name: "smooth_l1 \(batch) x \(positions) x \(width) shifted by \(shift)",
            inputs: [
                .init(shape: [batch, positions, width], values: .normal(2)),
                .init(shape: [batch, positions, width], isDifferentiable: false),
            ],
            build: { graph, x in [try graph.smoothL1(x[0], x[1], shift: shift)] },
            reference: { x in
                var sum = 0.0
                for b in 0..<batch {
                    for i in 0..<((positions - shift) * width) {
                        let at = b * positions * width + i
                        let d = abs(x[0][at] - x[1][at + shift * width])
                        sum += d < 1 ? d * d / 2 : d - 0.5
                    }
                }
                return [[sum / Double(batch * (positions - shift) * width)]]
            })
    }
}
