import DriftGPU

/// Rows of a matrix taken and put back by index: some more than once, some never, some out of range.
enum RowsCases: OperationCases {
    static let families = [OperationFamily("rows", all)]

    /// Of 6 rows: 4 three times, not in order, and indices that name nothing.
    static let few: [Int32] = [4, 0, -1, 4, 2, 6, .max, 1, 4, .min]

    /// 203 rows of 41: some in many places, others in none.
    static let many: [Int32] = (0..<203).map { Int32($0 * $0 % 47) }

    /// Each of 83 rows at most once, far from the one before.
    static let distinct: [Int32] = (0..<61).map { Int32($0 * 30 % 83) }

    private enum Form: String, CaseIterable {
        case gather, scatter, over, clear
    }

    /// Every case.
    static let all: [OperationCase] = Form.allCases.flatMap { form in
        [1, 3, 16, 37, 130].map { make(form, rows: 6, width: $0, few) }
            + [
                make(form, rows: 41, width: 19, many), make(form, rows: 83, width: 24, distinct),
                make(form, rows: 1, width: 5, [0]), make(form, rows: 3, width: 2050, [2, 0]), make(form, rows: 2, width: 8, [-1, 9]),
                // One long list.
                make(form, rows: 3, width: 6, [Int32](repeating: 1, count: 70)),
            ]
    }

    private static func make(_ form: Form, rows count: Int, width: Int, _ rows: [Int32]) -> OperationCase {
        let (whole, part) = ([count, width], [rows.count, width])
        let index = OperationCase.Input(shape: [rows.count], values: .integers(rows))
        let inputs: [OperationCase.Input]
        switch form {
        case .gather, .clear: inputs = [.init(shape: whole), index]
        case .scatter: inputs = [.init(shape: part), index]
        case .over: inputs = [.init(shape: part), index, .init(shape: whole)]
        }
        return OperationCase(
            name: "rows \(form.rawValue) \(rows.count) of \(count) x \(width)", inputs: inputs,
            build: { graph, x in
                switch form {
                case .gather: [try graph.gatherRows(x[0], x[1])]
                case .scatter: [try graph.scatterRows(x[0], x[1], count: count)]
                case .over: [try graph.scatterRows(x[0], x[1], over: x[2])]
                case .clear: [try graph.clearRows(x[0], x[1])]
                }
            },
            reference: { x in
                let places = x[1].map { (0..<count).contains(Int($0)) ? Int($0) : nil }
                if form == .gather {
                    return [
                        places.flatMap { row in
                            (0..<width).map { column in row.map { x[0][$0 * width + column] } ?? 0 }
                        }
                    ]
                }
                var y = [Double](repeating: 0, count: count * width)
                if form == .over { y = x[2] }
                if form == .clear { y = x[0] }
                for case let row? in places {
                    for column in 0..<width { y[row * width + column] = 0 }
                }
                if form == .clear { return [y] }
                for case let (i, row?) in places.enumerated() {
                    for column in 0..<width { y[row * width + column] += x[0][i * width + column] }
                }
                return [y]
            })
    }
}
