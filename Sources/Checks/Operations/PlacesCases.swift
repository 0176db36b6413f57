import DriftGPU

/// Stretches of orders, sorted.
enum PlacesCases: OperationCases {
    static let families = [OperationFamily("places", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make(1, 1, 0..<1, stride: 1), make(3, 16, 11..<16, stride: 16), make(2, 16, 0..<16, stride: 0, offset: 4),
        make(4, 9, 2..<7, stride: 12, offset: 3, period: 2), make(5, 49, 35..<36, stride: 49), make(64, 256, 0..<243, stride: 320, offset: 64),
    ]

    static func make(
        _ rows: Int, _ length: Int, _ range: Range<Int>, stride: Int, offset: Int = 0, period: Int? = nil
    ) -> OperationCase {
        // The multiplier has no factor in common with the lengths above.
        let orders = (0..<rows).flatMap { row in (0..<length).map { Int32(($0 * 47 + 5 * row) % length) } }
        return OperationCase(
            name: "places \(range) of \(rows) x \(length), stride \(stride), offset \(offset), period \(period ?? rows)",
            inputs: [.init(shape: [rows, length], values: .integers(orders), isDifferentiable: false)],
            build: { graph, x in [try graph.places(x[0], range, stride: stride, offset: offset, period: period)] },
            reference: { x in
                [
                    (0..<rows).flatMap { row in
                        x[0][(row * length + range.lowerBound)..<(row * length + range.upperBound)].sorted()
                            .map { $0 + Double(row % (period ?? rows) * stride + offset) }
                    }
                ]
            })
    }
}
