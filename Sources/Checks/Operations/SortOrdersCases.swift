import DriftGPU

/// Orders whose beginnings are sorted by keys: other numbers of them, keys that are equal, infinite or no number.
enum SortOrdersCases: OperationCases {
    static let families = [
        OperationFamily("sort_orders", all, untimed: "an option of drawings that no model of the benchmark takes"),
    ]

    private enum Keys: String {
        case distinct, equal, few, broken
    }

    /// Every case.
    static let all: [OperationCase] = [
        make(1, 1, 1, keyed: 1, .distinct), make(3, 16, 11, keyed: 3, .distinct), make(4, 16, 16, keyed: 4, .few, period: 2),
        make(2, 16, 9, keyed: 2, .equal), make(6, 9, 7, keyed: 3, .broken), make(5, 49, 1, keyed: 1, .distinct),
        make(3, 130, 67, keyed: 1, .few), make(16, 256, 243, keyed: 8, .distinct),
    ]

    private static func make(_ rows: Int, _ length: Int, _ count: Int, keyed: Int, _ keys: Keys, period: Int? = nil) -> OperationCase {
        // The multiplier has no factor in common with the lengths above.
        let orders = (0..<rows).flatMap { row in (0..<length).map { Int32(($0 * 47 + 5 * row) % length) } }
        let values = (0..<(keyed * length)).map { index -> Float in
            switch keys {
            case .distinct: Float(index * 7919 % 10007) / 10007
            case .equal: 0.5
            case .few: Float(index * 7919 % 5) / 4
            case .broken: [Float.nan, 0.25, .infinity, -.infinity, 0.75][index * 7919 % 5]
            }
        }
        return OperationCase(
            name: "sort_orders \(count) of \(rows) x \(length) by \(period ?? keyed) x \(length), \(keys.rawValue)",
            inputs: [
                .init(shape: [rows, length], values: .integers(orders), isDifferentiable: false),
                .init(shape: [keyed, length], values: .floats(values), isDifferentiable: false),
            ],
            build: { graph, x in [try graph.sortOrders(x[0], count: count, by: x[1], period: period)] },
            reference: { x in
                [
                    (0..<rows).flatMap { row -> [Double] in
                        let order = x[0][(row * length)..<((row + 1) * length)]
                        let key = { (position: Double) in
                            let key = x[1][row % (period ?? keyed) * length + Int(position)]
                            return key.isNaN ? Double.infinity : key
                        }
                        // Insertion, which keeps the order of equal keys.
                        var sorted: [Double] = []
                        for position in order.prefix(count) {
                            sorted.insert(position, at: sorted.firstIndex { key($0) < key(position) } ?? sorted.count)
                        }
                        return sorted + order.dropFirst(count)
                    }
                ]
            })
    }
}
