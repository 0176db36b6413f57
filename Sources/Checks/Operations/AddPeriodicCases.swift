import DriftGPU

/// A bias row or a table of positions added to rows.
enum AddPeriodicCases: OperationCases {
    static let families = [OperationFamily("add_periodic", all)]

    /// Every case.
    static let all: [OperationCase] = [make(1, 5), make(6, 1), make(5, 7), make(3, 50), make(2, 1037)]

    static func make(_ rows: Int, _ period: Int) -> OperationCase {
        OperationCase(
            name: "add_periodic \(rows) x \(period)", inputs: [.init(shape: [rows, period]), .init(shape: [period])],
            build: { graph, x in [try graph.addPeriodic(x[0], x[1])] },
            reference: { x in
                var y = x[0]
                for index in y.indices { y[index] += x[1][index % period] }
                return [y]
            })
    }
}
