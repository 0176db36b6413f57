import DriftAR
import DriftGPU
import Foundation

/// Tokens between noise and data, steps along the flow with and without guidance, and the loss of a velocity.
enum FlowCases: OperationCases {
    static let families = [OperationFamily("flow", noised + steps + paths + losses, untimed: "the steps of a drawing; bench sample times them with the rest")]

    private static func plain(_ shape: [Int], _ values: OperationCase.Input.Values = .normal(1)) -> OperationCase.Input {
        .init(shape: shape, values: values, isDifferentiable: false)
    }

    private static let noised: [OperationCase] = [(1, 1, 1), (4, 2, 7), (6, 6, 16), (12, 2, 33), (40, 20, 130)].flatMap { rows, clean, channels in
        [FlowTime.toData, .toNoise(levels: 1000)].map { noised(rows, clean, channels, $0) }
    }

    private static func noised(_ rows: Int, _ clean: Int, _ channels: Int, _ time: FlowTime) -> OperationCase {
        // Numbers whose levels no rounding changes: the middle of a level, and far beyond the last.
        let normals = (0..<rows).map { row -> Float in
            let share = (Double(row * 173 % 1000) + 0.5) / 1000
            return row % 7 == 6 ? 40 : Float(log(share / (1 - share)))
        }
        return OperationCase(
            name: "flow_noised \(rows) of \(clean) x \(channels)\(time == .toData ? "" : ", to noise")",
            inputs: [plain([clean, channels]), plain([rows, channels]), plain([rows], .floats(normals))],
            build: { graph, x in
                let made = try graph.flowNoised(x[0], noise: x[1], normal: x[2], time: time)
                return [made.noisy, made.time]
            },
            reference: { x in
                let shares = x[2].map { 1 / (1 + exp(-$0)) }
                let levels = shares.map { min(999, (1000 * $0).rounded(.down)) }
                let kept = time == .toData ? shares : levels.map { 1 - $0 / 1000 }
                let mixed = x[1].indices.map { i -> Double in
                    let share = kept[i / channels]
                    return share * x[0][i % x[0].count] + (1 - share) * x[1][i]
                }
                return [mixed, time == .toData ? shares : levels]
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

    private static let paths: [OperationCase] = [(1, 1, false), (5, 16, true), (3, 33, true), (70, 4, false)].map { rows, channels, isGuided in
        OperationCase(
            name: "flow_step \(rows) x \(channels)\(isGuided ? ", guided" : ""), the velocity kept",
            inputs: [
                plain([rows, channels]), plain([rows * (isGuided ? 2 : 1), channels]), plain([rows, channels]),
                plain([FlowStepNumbers.count]), plain([1]),
            ],
            build: { graph, x in
                let made = try graph.flowStep(x[0], velocity: x[1], before: x[2], step: x[3], cfg: isGuided ? x[4] : nil)
                return [made.x, made.velocity]
            },
            reference: { x in
                let velocity = x[0].indices.map { i in
                    let other = isGuided ? x[1][x[0].count + i] : x[1][i]
                    return other + x[4][0] * (x[1][i] - other)
                }
                return [x[0].indices.map { x[3][0] * x[0][$0] + x[3][1] * velocity[$0] + x[3][2] * x[2][$0] }, velocity]
            })
    }

    private static let losses: [OperationCase] = [(1, 1, 1), (4, 2, 7), (6, 6, 16), (9, 3, 35)].flatMap { rows, clean, channels in
        [FlowTime.toData, .toNoise(levels: 1000)].map { losses(rows, clean, channels, $0) }
    }

    private static func losses(_ rows: Int, _ clean: Int, _ channels: Int, _ time: FlowTime) -> OperationCase {
        OperationCase(
            name: "flow_loss \(rows) of \(clean) x \(channels)\(time == .toData ? "" : ", to noise")",
            inputs: [.init(shape: [rows, channels]), plain([clean, channels]), plain([rows, channels])],
            build: { graph, x in [try graph.flowLoss(x[0], x: x[1], noise: x[2], time: time)] },
            reference: { x in
                [
                    (0..<rows).map { row in
                        (0..<channels).reduce(0) { sum, c in
                            let toData = x[1][row % clean * channels + c] - x[2][row * channels + c]
                            let error = (time == .toData ? toData : -toData) - x[0][row * channels + c]
                            return sum + error * error / Double(channels)
                        }
                    }
                ]
            })
    }
}
