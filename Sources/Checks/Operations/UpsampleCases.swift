import DriftGPU

/// Nearest upsampling.
enum UpsampleCases: OperationCases {
    static let families = [OperationFamily("upsample", all + sums)]

    /// Every case.
    static let all: [OperationCase] = [(2, 3, 4, 5, 2), (1, 2, 1, 33, 3), (1, 2, 3, 16, 1)].map {
        batch, height, width, channels, factor in
        OperationCase(
            name: "\(batch) x \(height) x \(width) x \(channels) by \(factor)",
            inputs: [.init(shape: [batch, height, width, channels])],
            build: { graph, x in [try graph.upsample(x[0], factor: factor)] },
            reference: { x in
                var y: [Double] = []
                for b in 0..<batch {
                    for oy in 0..<(height * factor) {
                        for ox in 0..<(width * factor) {
                            let from = ((b * height + oy / factor) * width + ox / factor) * channels
                            y += x[0][from..<(from + channels)]
                        }
                    }
                }
                return [y]
            })
    }

    /// Sums of squares of pixels.
    private static let sums: [OperationCase] = [(2, 3, 4, 5, 2), (1, 2, 1, 33, 3)].map { batch, height, width, channels, factor in
        OperationCase(
            name: "sums of \(batch) x \(height) x \(width) x \(channels) by \(factor)",
            inputs: [.init(shape: [batch, height * factor, width * factor, channels])],
            build: { graph, x in [try graph.sumPixels(x[0], factor: factor)] },
            reference: { x in
                var y = [Double](repeating: 0, count: batch * height * width * channels)
                for row in 0..<(batch * height * factor) {
                    for column in 0..<(width * factor) {
                        for channel in 0..<channels {
                            y[(row / factor * width + column / factor) * channels + channel] += x[0][(row * width * factor + column) * channels + channel]
                        }
                    }
                }
                return [y]
            })
    }
}
