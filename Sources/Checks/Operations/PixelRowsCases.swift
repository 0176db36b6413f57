import DriftGPU

/// Images of bytes taken by index: in any order, more than once, out of range.
enum PixelRowsCases: OperationCases {
    static let families = [OperationFamily("pixel_rows", all)]

    /// Every case. The width 256 has every byte in each image.
    static let all: [OperationCase] =
        [1, 3, 16, 37, 130, 256].map { make(images: 6, width: $0, RowsCases.few) }
        + [make(images: 41, width: 19, RowsCases.many), make(images: 83, width: 24, RowsCases.distinct), make(images: 3, width: 2050, [2, 0])]

    private static func make(images: Int, width: Int, _ rows: [Int32]) -> OperationCase {
        OperationCase(
            name: "pixel_rows \(rows.count) of \(images) x \(width)",
            inputs: [
                .init(shape: [images, width], values: .bytes((0..<(images * width)).map { UInt8(truncatingIfNeeded: $0 * 167) })),
                .init(shape: [rows.count], values: .integers(rows)),
            ],
            build: { graph, x in [try graph.pixelRows(x[0], x[1])] },
            reference: { x in
                [
                    x[1].flatMap { row in
                        (0..<width).map { column in
                            (0..<images).contains(Int(row)) ? x[0][Int(row) * width + column] / 127.5 - 1 : 0
                        }
                    }
                ]
            },
            tolerance: 1e-7)
    }
}
