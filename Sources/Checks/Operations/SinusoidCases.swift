import DriftGPU
import Foundation

/// Times as cosines and sines: whole ones up to a thousand turns' worth of angle, others, and widths that end within a vector.
enum SinusoidCases: OperationCases {
    static let families = [OperationFamily("sinusoid", all)]

    private static let whole: [Float] = [0, 1, 2, 17, 499, 500, 997, 998, 999, 1000, 4095]

    /// Every case.
    static let all: [OperationCase] = [
        make(whole, 256, tolerance: 4e-7), make([500], 2, tolerance: 4e-7), make(whole, 74, tolerance: 4e-7),
        make([0.5, -3.25, 999.5, 12.0625], 256, tolerance: 4e-7), make([0.1, 314.159, 998.7], 34, tolerance: 1e-6),
    ]

    private static func make(_ times: [Float], _ width: Int, tolerance: Double) -> OperationCase {
        OperationCase(
            name: "\(times.count) x \(width) from \(times[0])",
            inputs: [.init(shape: [times.count], values: .floats(times), isDifferentiable: false)],
            build: { graph, x in [try graph.sinusoid(x[0], width: width)] },
            reference: { x in
                [
                    x[0].flatMap { time in
                        (0..<width).map { i in
                            let half = width / 2
                            let angle = time * exp(-log(1e4) * Double(i % half) / Double(half))
                            return i < half ? cos(angle) : sin(angle)
                        }
                    }
                ]
            }, tolerance: tolerance)
    }
}
