import DriftGPU

/// Absolute values and differences of neighbours, images of one row, one column and one pixel among them.
enum TotalVariationCases: OperationCases {
    static let families = [OperationFamily("total_variation", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make([2, 5, 7, 3], 1, 1), make([1, 1, 1, 1], 1, 2), make([3, 1, 9, 2], 0, 1), make([2, 6, 1, 17], 0.5, 3), make([1, 4, 30, 3], 1, 0),
        make([2, 3, 21, 1], 0, 0.25), make([1, 33, 40, 5], 1, 1),
    ]

    static func make(_ shape: [Int], _ absolute: Float, _ variation: Float) -> OperationCase {
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        return OperationCase(
            name: "\(shape), absolute \(absolute), variation \(variation)",
            inputs: [.init(shape: shape)],
            build: { graph, x in [try graph.totalVariation(x[0], absolute: absolute, variation: variation)] },
            reference: { x in
                func value(_ row: Int, _ column: Int, _ channel: Int) -> Double { x[0][(row * width + column) * channels + channel] }
                return [
                    (0..<(shape[0] * height)).map { row in
                        var sum = 0.0
                        for column in 0..<width {
                            for channel in 0..<channels {
                                let own = value(row, column, channel)
                                sum += Double(absolute) * abs(own)
                                if column + 1 < width { sum += Double(variation) * abs(value(row, column + 1, channel) - own) }
                                if row % height + 1 < height { sum += Double(variation) * abs(value(row + 1, column, channel) - own) }
                            }
                        }
                        return sum
                    }
                ]
            })
    }
}
