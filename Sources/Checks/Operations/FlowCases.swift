import DriftAR
import DriftGPU
import Foundation

/// Tokens between noise and data, steps along the flow with and without guidance, and the loss of a velocity.
enum FlowCases: OperationCases {
    static let families = [OperationFamily("flow", noised + steps + losses, untimed: "the steps of a drawing; bench sample times them with the rest")]

    private static func plain(_ shape: [Int]) -> OperationCase.Input { .init(shape: shape, isDifferentiable: false) }

    private static let noised: [OperationCase] = [(1, 1, 1), (4, 2, 7), (6, 6, 16), (12, 2, 33), (40, 20, 130)].map { rows, clean, channels in
        OperationCase(
            name: "flow_noised \(rows) of \(clean) x \(channels)", inputs: [plain([clean, channels]), plain([rows, channels]), plain([rows])],
            build: { graph, x in
                let made = try graph.flowNoised(x[0], noise: x[1], normal: x[2])
                return [made.noisy, made.time]
            },
            reference: { x in
                let times = x[2].map { 1 / (1 + exp(-$0)) }
                return [x[1].indices.map { times[$0 / channels] * x[0][$0 % x[0].count] + (1 - times[$0 / channels]) * x[1][$0] }, times]
            })
    }

    private static let steps: [OperationCase] = [(1, 1, false), (5, 16, true), (3, 33, true), (70, 4, false)].map { rows, channels, isGuided in
        OperationCase(
            name: "flow_step \(rows) x \(channels)\(isGuided ? ", guided" : "")",
            inputs: [
                plain([rows, channels]), plain([rows * (isGuided ? 2 : 1), channels]), plain([rows, channels]),
                plain([FlowStepNumbers.count]), plain([1]),
            ],
            build: { graph, x in
                [try graph.flowStep(x[0], velocity: x[1], noise: x[2], step: x[3], cfg: isGuided ? x[4] : nil, temperature: 0.75)]
            },
            reference: { x in
                [
                    x[0].indices.map { i in
                        let other = isGuided ? x[1][x[0].count + i] : x[1][i]
                        let velocity = other + x[4][0] * (x[1][i] - other)
                        return x[3][0] * x[0][i] + x[3][1] * velocity + 0.75 * x[3][2] * x[2][i]
                    }
                ]
            })
    }

    private static let losses: [OperationCase] = [(1, 1, 1), (4, 2, 7), (6, 6, 16), (9, 3, 35)].map { rows, clean, channels in
        OperationCase(
            name: "flow_loss \(rows) of \(clean) x \(channels)",
            inputs: [.init(shape: [rows, channels]), plain([clean, channels]), plain([rows, channels])],
            build: { graph, x in [try graph.flowLoss(x[0], x: x[1], noise: x[2])] },
            reference: { x in
                [
                    (0..<rows).map { row in
                        (0..<channels).reduce(0) { sum, c in
                            let error = x[1][row % clean * channels + c] - x[2][row * channels + c] - x[0][row * channels + c]
                            return sum + error * error / Double(channels)
                        }
                    }
                ]
            })
    }
}
