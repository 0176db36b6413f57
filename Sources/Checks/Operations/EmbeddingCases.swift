import DriftGPU

/// Rows of a table by label, some dropped, some out of range.
enum EmbeddingCases: OperationCases {
    static let families = [OperationFamily("embedding", all)]

    static let labels: [Int32] = [0, 4, 4, -1, 5, 2, .max, 2, 4]

    static let uniform: [Float] = [0.9, 0.1, 0.5, 0.2, 0.7, 0.39, 0.8, 0.6, 0.05]

    /// Every case.
    static let all: [OperationCase] =
        [1, 7, 50, 64].flatMap { [make($0, 0), make($0, 0.4)] }
        // More labels than are looked at together: some classes often, some never, some out of range.
        + [many(3, 0), many(3, 0.4), many(70, 0), many(70, 0.4)]

    /// 5 classes, 9 labels.
    static func make(_ width: Int, _ probability: Float) -> OperationCase {
        make(width, probability, classes: 5, labels, uniform)
    }

    /// 41 classes, 203 labels.
    static func many(_ width: Int, _ probability: Float) -> OperationCase {
        make(
            width, probability, classes: 41, (0..<203).map { Int32($0 * $0 % 47) }, (0..<203).map { Float($0 * 37 % 101) / 101 })
    }

    private static func make(
        _ width: Int, _ probability: Float, classes: Int, _ labels: [Int32], _ uniform: [Float]
    ) -> OperationCase {
        OperationCase(
            name: "embedding \(classes) x \(width) by \(labels.count) dropped \(probability)",
            inputs: [
                .init(shape: [classes, width]), .init(shape: [labels.count], values: .integers(labels)),
                .init(shape: [width], isDifferentiable: probability > 0),
                .init(shape: [labels.count], values: .floats(uniform), isDifferentiable: false),
            ],
            build: { graph, x in
                [try graph.embedding(x[0], labels: x[1], fake: x[2], uniform: x[3], dropProbability: probability)]
            },
            reference: { x in
                var y: [Double] = []
                for row in labels.indices {
                    let label = Int(x[1][row])
                    if x[3][row] < Double(probability) {
                        y += x[2]
                    } else if (0..<classes).contains(label) {
                        y += x[0][(label * width)..<((label + 1) * width)]
                    } else {
                        y += [Double](repeating: 0, count: width)
                    }
                }
                return [y]
            })
    }
}
