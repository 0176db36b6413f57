import DriftGPU

/// Largest and mean values of windows of pixels, some of which hang over the border.
enum PoolCases: OperationCases {
    static let families = [OperationFamily("pool", all, untimed: "Inception, which is no size of the benchmark")]

    struct Size: Sendable {
        var batch = 2
        let height: Int, width: Int, channels: Int, window: Int, stride: Int, padding: Int
    }

    static let sizes = [
        Size(height: 3, width: 5, channels: 5, window: 3, stride: 1, padding: 1),
        Size(height: 9, width: 7, channels: 33, window: 3, stride: 2, padding: 0),
        Size(height: 4, width: 4, channels: 50, window: 4, stride: 1, padding: 0),
        Size(height: 6, width: 5, channels: 16, window: 2, stride: 3, padding: 1),
        Size(batch: 1, height: 1, width: 1, channels: 1, window: 3, stride: 1, padding: 1),
    ]

    /// Every case.
    static let all = sizes.flatMap { size in [true, false].map { make(size, takesLargest: $0) } }

    static func make(_ size: Size, takesLargest: Bool) -> OperationCase {
        OperationCase(
            name: "pool \(size.batch) x \(size.height) x \(size.width) x \(size.channels), \(takesLargest ? "largest" : "mean") of \(size.window), stride \(size.stride), padding \(size.padding)",
            inputs: [.init(shape: [size.batch, size.height, size.width, size.channels], isDifferentiable: false)],
            build: { graph, x in
                [
                    takesLargest
                        ? try graph.maxPool(x[0], window: size.window, stride: size.stride, padding: size.padding)
                        : try graph.meanPool(x[0], window: size.window, stride: size.stride, padding: size.padding)
                ]
            },
            reference: { x in
                func count(_ extent: Int) -> Int { (extent + 2 * size.padding - size.window) / size.stride + 1 }
                var y: [Double] = []
                for b in 0..<size.batch {
                    for oy in 0..<count(size.height) {
                        for ox in 0..<count(size.width) {
                            for c in 0..<size.channels {
                                var values: [Double] = []
                                for v in 0..<size.window {
                                    for u in 0..<size.window {
                                        let (py, px) = (oy * size.stride - size.padding + v, ox * size.stride - size.padding + u)
                                        guard (0..<size.height).contains(py), (0..<size.width).contains(px) else { continue }
                                        values.append(x[0][((b * size.height + py) * size.width + px) * size.channels + c])
                                    }
                                }
                                y.append(takesLargest ? values.max() ?? 0 : values.reduce(0, +) / Double(values.count))
                            }
                        }
                    }
                }
                return [y]
            })
    }
}
