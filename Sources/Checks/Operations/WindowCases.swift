import DriftGPU

/// Rows from places on that each sequence has of its own, and their numbers; rows put there; some past either end.
enum WindowCases: OperationCases {
    static let families = [OperationFamily("window", all, untimed: "a step of a drawing; bench sample times it with the rest")]

    /// Every case.
    static let all: [OperationCase] = [
        make(images: 1, length: 5, width: 3, known: [2], offset: 0, count: 1, sequences: 3),
        make(images: 2, length: 7, width: 16, known: [0, 5], offset: -1, count: 4, sequences: 4),
        make(images: 4, length: 9, width: 33, known: [8, 2, 0, 9], offset: 1, count: 2, sequences: 8),
        make(images: 3, length: 1, width: 1, known: [0], offset: 0, count: 1, sequences: 3),
    ]

    private static func make(
        images: Int, length: Int, width: Int, known: [Int32], offset: Int, count: Int, sequences: Int
    ) -> OperationCase {
        OperationCase(
            name: "window \(count) of \(images) x \(length) x \(width) from \(known) + \(offset), \(sequences) sequences",
            inputs: [
                .init(shape: [images, length, width], isDifferentiable: false),
                .init(shape: [images, count, width], isDifferentiable: false),
                .init(shape: [known.count], values: .integers(known), isDifferentiable: false),
                // Rows are put elsewhere than they are taken from: a second run finds what the first one left.
                .init(shape: [images, length, width], isDifferentiable: false),
            ],
            build: { graph, x in
                let taken = try graph.window(x[0], from: x[2], offset: offset, count: count, sequences: sequences)
                let numbers = try graph.windowRows(
                    from: x[2], offset: offset, count: count, sequences: sequences, length: length, images: images)
                try graph.putWindow(x[1], into: x[3], from: x[2], offset: offset)
                return [taken, numbers, try graph.copy(x[3])]
            },
            reference: { x in
                let rows = (0..<(sequences * count)).map { row -> Int in
                    let (b, p) = (row / count, Int(known[row / count % known.count]) + offset + row % count)
                    return (0..<length).contains(p) ? b % images * length + p : -1
                }
                var put = x[3]
                for row in 0..<(images * count) {
                    let (b, p) = (row / count, Int(known[row / count % known.count]) + offset + row % count)
                    guard (0..<length).contains(p) else { continue }
                    for i in 0..<width { put[(b * length + p) * width + i] = x[1][row * width + i] }
                }
                return [
                    rows.flatMap { row in (0..<width).map { row < 0 ? 0 : x[0][row * width + $0] } }, rows.map(Double.init), put,
                ]
            })
    }
}
