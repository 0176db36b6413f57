import DriftGPU
import Foundation

/// The energy score of pairs of samples; targets of their own and tiled ones, and points that meet.
enum EnergyScoreCases: OperationCases {
    static let families = [OperationFamily("energy_score", all + [meeting])]

    /// Every case whose points lie apart.
    static let all: [OperationCase] = [
        make(1, 1, 2), make(3, 3, 1), make(6, 2, 16), make(10, 5, 4, repulsion: 0.99), make(7, 7, 17, power: 1.5),
        make(4, 2, 50, repulsion: 0, power: 2), make(260, 130, 3),
    ]

    static func make(_ rows: Int, _ targets: Int, _ width: Int, repulsion: Float = 1, power: Float = 1) -> OperationCase {
        OperationCase(
            name: "\(rows) x \(width) to \(targets), repulsion \(repulsion), power \(power)",
            inputs: [.init(shape: [2, rows, width]), .init(shape: [targets, width], isDifferentiable: false)],
            build: { graph, x in
                let made = try graph.energyScore(x[0], targets: x[1], repulsion: repulsion, power: power)
                return [made.score, made.distances]
            },
            reference: { x in
                func distance(_ a: (list: Int, row: Int), _ b: (list: Int, row: Int)) -> Double {
                    let sum = (0..<width).reduce(0.0) { $0 + pow(x[a.list][a.row * width + $1] - x[b.list][b.row * width + $1], 2) }
                    return pow(sum, Double(power) / 2)
                }
                let distances = (0..<rows).map { row in
                    [distance((0, row), (1, row % targets)), distance((0, rows + row), (1, row % targets)), distance((0, row), (0, rows + row))]
                }
                return [distances.map { $0[0] + $0[1] - Double(repulsion) * $0[2] }, distances.flatMap { $0 }]
            }, gradientOutputs: [0])
    }

    /// Both samples of the first row are one point, and the first sample of the second row is its target: no force between those.
    private static let meeting = OperationCase(
        name: "points that meet",
        inputs: [
            .init(shape: [2, 2, 2], values: .floats([1, 2, 3, 4, 1, 2, 0, 0]), isDifferentiable: false),
            .init(shape: [2, 2], values: .floats([4, 6, 3, 4]), isDifferentiable: false),
        ],
        build: { graph, x in
            let made = try graph.energyScore(x[0], targets: x[1])
            return [made.score] + (try graph.gradients(of: [(made.score, graph.fill([2], with: 1))], withRespectTo: [x[0]]).compactMap { $0 })
        },
        reference: { _ in [[10, 0], [-0.6, -0.8, -0.6, -0.8, -0.6, -0.8, 0, 0]] })
}
