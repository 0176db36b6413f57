import DriftGPU
import Foundation

/// Means and deviations of patches of pixels.
enum PatchStatisticsCases: OperationCases {
    static let families = [OperationFamily("patch_statistics", all)]

    struct Size: Sendable {
        let batch: Int, height: Int, width: Int, channels: Int
        /// Of a patch.
        let down: Int, across: Int
    }

    static let sizes = [
        Size(batch: 2, height: 4, width: 6, channels: 5, down: 2, across: 2),
        Size(batch: 1, height: 3, width: 8, channels: 33, down: 3, across: 4),
        Size(batch: 3, height: 8, width: 8, channels: 16, down: 8, across: 8),
        Size(batch: 2, height: 2, width: 3, channels: 50, down: 1, across: 3),
        Size(batch: 1, height: 2, width: 1, channels: 1, down: 1, across: 1),
    ]

    /// Every case. A large epsilon, so that differences of a patch of one pixel are those of a smooth function.
    static let all: [OperationCase] = sizes.map { size in
        let epsilon: Float = 0.01
        return OperationCase(
            name: "patch_statistics \(size.batch) x \(size.height) x \(size.width) x \(size.channels) in \(size.down) x \(size.across)",
            inputs: [.init(shape: [size.batch, size.height, size.width, size.channels])],
            build: { graph, x in
                let (mean, deviation) = try graph.patchStatistics(x[0], height: size.down, width: size.across, epsilon: epsilon)
                return [mean, deviation]
            },
            reference: { x in
                let count = Double(size.down * size.across)
                var (means, deviations): ([Double], [Double]) = ([], [])
                for b in 0..<size.batch {
                    for row in stride(from: 0, to: size.height, by: size.down) {
                        for column in stride(from: 0, to: size.width, by: size.across) {
                            for c in 0..<size.channels {
                                let values = (0..<size.down * size.across).map { place in
                                    let (y, u) = (row + place / size.across, column + place % size.across)
                                    return x[0][((b * size.height + y) * size.width + u) * size.channels + c]
                                }
                                let mean = values.reduce(0, +) / count
                                let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
                                means.append(mean)
                                deviations.append(sqrt(squares / count + Double(epsilon)))
                            }
                        }
                    }
                }
                return [means, deviations]
            })
    }
}
