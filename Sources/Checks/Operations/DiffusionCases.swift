import DriftAR
import DriftGPU
import Foundation

/// Noise added to tokens, and the sampler's steps back, the first among them, which divides by nearly nothing.
enum DiffusionCases: OperationCases {
    static let families = [OperationFamily("diffusion", noised + steps, untimed: "the steps of a drawing; bench sample times them with the rest")]

    /// Times from both ends and between.
    static func times(_ count: Int) -> [Float] { (0..<count).map { [0, 999, 1, 500, 998, 37][$0 % 6] } }

    /// The table of training's times in a graph.
    static func table(_ graph: Graph) throws -> DiffusionTimes {
        try DiffusionTimes(graph, name: "times", rows: DiffusionSchedule.training.rows)
    }

    private static let noised = [(1, 1, 1), (6, 3, 4), (6, 6, 16), (10, 5, 37), (260, 65, 3)].map { rows, clean, width in
        OperationCase(
            name: "noised \(rows) x \(width) of \(clean)",
            inputs: [
                .init(shape: [clean, width], isDifferentiable: false), .init(shape: [rows, width], isDifferentiable: false),
                .init(shape: [rows], values: .floats(times(rows)), isDifferentiable: false),
            ],
            build: { graph, x in [try graph.diffusionNoised(x[0], noise: x[1], time: x[2], table(graph))] },
            reference: { x in
                [
                    x[1].indices.map { index in
                        let (row, column) = (index / width, index % width)
                        let alphaBar = DiffusionSchedule.training.alphaBars[Int(x[2][row])]
                        return alphaBar.squareRoot() * x[0][row % clean * width + column] + (1 - alphaBar).squareRoot() * x[1][index]
                    }
                ]
            }, tolerance: 3e-7)
    }

    private static let steps: [OperationCase] = [
        step(1, 1, of: 100, 50, isGuided: false), step(5, 3, of: 100, 99, isGuided: false), step(6, 16, of: 10, 9, isGuided: true),
        step(7, 4, of: 100, 98, isGuided: true), step(4, 37, of: 100, 0, isGuided: false), step(3, 5, of: 2, 0, isGuided: true),
        step(130, 8, of: 1000, 500, isGuided: true), step(9, 5, of: 100, 99, isGuided: true, limit: 2),
        step(6, 4, of: 100, 40, isGuided: false, limit: 0.5), step(7, 17, of: 10, 0, isGuided: false, limit: 1),
    ]

    /// Step `index` of a drawing of `count`, by the formulas of the reference: the clean token first, then the posterior's mean.
    private static func step(_ rows: Int, _ width: Int, of count: Int, _ index: Int, isGuided: Bool, limit: Float = 0) -> OperationCase {
        let schedule = DiffusionSchedule(steps: count)
        let halves = isGuided ? 2 : 1
        let temperature: Float = 0.95
        return OperationCase(
            name: "step \(index) of \(count), \(rows) x \(width)\(isGuided ? ", guided" : "")\(limit > 0 ? ", limit \(limit)" : "")",
            inputs: [
                .init(shape: [rows, width], isDifferentiable: false), .init(shape: [halves * rows, 2 * width], isDifferentiable: false),
                .init(shape: [rows, width], isDifferentiable: false),
                .init(shape: [DiffusionStepNumbers.count], values: .floats(schedule.numbers(index).values), isDifferentiable: false),
            ] + (isGuided ? [.init(shape: [1], values: .floats([3]), isDifferentiable: false)] : []),
            build: { graph, x in
                [
                    try graph.diffusionStep(
                        x[0], output: x[1], noise: x[2], step: x[3], cfg: isGuided ? x[4] : nil, temperature: temperature, limit: limit)
                ]
            },
            reference: { x in
                let alphaBar = schedule.alphaBars[index]
                let numbers = schedule.numbers(index)
                return [
                    x[0].indices.map { i in
                        let at = i / width * 2 * width + i % width
                        var noise = x[1][at]
                        if isGuided {
                            let other = x[1][rows * 2 * width + at]
                            noise = other + 3 * (noise - other)
                        }
                        var clean = (1 / alphaBar).squareRoot() * x[0][i] - (1 / alphaBar - 1).squareRoot() * noise
                        if limit > 0 { clean = min(max(clean, -Double(limit)), Double(limit)) }
                        let mean = schedule.shareOfClean(index) * clean + schedule.shareOfNoisy(index) * x[0][i]
                        let part = (x[1][at + width] + 1) / 2
                        let logVariance = part * log(schedule.betas[index]) + (1 - part) * numbers.logVariance
                        return mean + (index > 0 ? exp(logVariance / 2) * x[2][i] * Double(temperature) : 0)
                    }
                ]
            }, tolerance: 5e-7)
    }
}
