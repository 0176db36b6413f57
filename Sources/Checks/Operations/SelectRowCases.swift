import DriftGPU

/// A row of a table by a number on the device.
enum SelectRowCases: OperationCases {
    static let families = [OperationFamily("select_row", all, untimed: "the steps of a drawing; bench kernels --rows times it")]

    /// Every case.
    static let all: [OperationCase] = [
        make(1, 1, 0), make(5, 3, 2), make(5, 3, 4), make(5, 3, 5), make(7, 16, .max), make(3, 4100, 1), make(100, 37, 99),
    ]

    static func make(_ rows: Int, _ width: Int, _ number: UInt32) -> OperationCase {
        OperationCase(
            name: "select_row \(number) of \(rows) x \(width)",
            inputs: [
                .init(shape: [rows, width], isDifferentiable: false),
                .init(shape: [1], values: .words([number]), isDifferentiable: false),
            ],
            build: { graph, x in [try graph.selectRow(x[0], x[1])] },
            reference: { x in
                let row = min(Int(x[1][0]), rows - 1)
                return [Array(x[0][(row * width)..<((row + 1) * width)])]
            })
    }
}
