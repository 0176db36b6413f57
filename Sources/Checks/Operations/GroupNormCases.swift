import DriftGPU
import Foundation

/// GroupNorm, alone and with the SiLU that fuses into it.
enum GroupNormCases: OperationCases {
    static let families = [OperationFamily("group_norm", all)]

    static let epsilon: Float = 1e-6

    /// x [batch, pixels, channels] by the definition.
    static func norm(
        _ x: [Double], _ weight: [Double], _ bias: [Double], batch: Int, pixels: Int, groups: Int
    ) -> [Double] {
        let channels = weight.count
        let span = channels / groups
        var y = x
        for b in 0..<batch {
            for group in 0..<groups {
                let indices = (0..<pixels).flatMap { pixel in
                    (0..<span).map { (b * pixels + pixel) * channels + group * span + $0 }
                }
                let mean = indices.reduce(0) { $0 + x[$1] } / Double(indices.count)
                let variance = indices.reduce(0) { $0 + (x[$1] - mean) * (x[$1] - mean) } / Double(indices.count)
                for i in indices {
                    y[i] = (x[i] - mean) / (variance + Double(epsilon)).squareRoot() * weight[i % channels] + bias[i % channels]
                }
            }
        }
        return y
    }

    /// Every case. The last has a mean a thousand deviations from zero, which a sum of squares would not survive.
    static let all: [OperationCase] =
        [(1, 3, 4, 2), (2, 6, 6, 3), (1, 35, 32, 32), (2, 70, 40, 8)].map { make($0.0, $0.1, $0.2, $0.3) } + [
            make(2, 9, 20, 5, silu: true), make(1, 130, 64, 32, silu: true, isDifferentiable: false), distant,
        ]

    static func make(
        _ batch: Int, _ pixels: Int, _ channels: Int, _ groups: Int, silu: Bool = false, isDifferentiable: Bool = true
    ) -> OperationCase {
        OperationCase(
            name: "\(batch) x \(pixels) x \(channels) in \(groups)" + (silu ? ", silu" : ""),
            inputs: [
                .init(shape: [batch, pixels, channels], isDifferentiable: isDifferentiable),
                .init(shape: [channels], isDifferentiable: isDifferentiable),
                .init(shape: [channels], isDifferentiable: isDifferentiable),
            ],
            build: { graph, x in
                let y = try graph.groupNorm(x[0], weight: x[1], bias: x[2], groups: groups, epsilon: epsilon)
                return [silu ? try graph.silu(y) : y]
            },
            reference: { x in
                let y = norm(x[0], x[1], x[2], batch: batch, pixels: pixels, groups: groups)
                return [silu ? y.map(ActivationCases.silu) : y]
            })
    }

    /// Values near a thousand, with a deviation of about one.
    static let distant = OperationCase(
        name: "far from zero",
        inputs: [
            .init(shape: [1, 90, 8], values: .uniform(998, 1002), isDifferentiable: false),
            .init(shape: [8], isDifferentiable: false), .init(shape: [8], isDifferentiable: false),
        ],
        build: { graph, x in [try graph.groupNorm(x[0], weight: x[1], bias: x[2], groups: 2, epsilon: epsilon)] },
        reference: { x in [norm(x[0], x[1], x[2], batch: 1, pixels: 90, groups: 2)] },
        // The inputs' own spacing is 6e-5 there.
        tolerance: 1e-4)
}
