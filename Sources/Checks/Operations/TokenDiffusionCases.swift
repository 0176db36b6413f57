import DriftAR
import DriftData
import DriftGPU
import Foundation

/// Whole drawings of tokens by diffusions and flows, of few steps: some tokens of some images, with and without guidance and a limit.
enum TokenDiffusionCases: OperationCases {
    static let families = [
        OperationFamily("token_diffusion", drawings, untimed: "the steps of a drawing; bench sample times them with the rest")
    ]

    private static let drawings = [
        make(places: [0], channels: 4, width: 32, steps: 2), make(places: [3, 0, 7], channels: 17, width: 20, steps: 3, limit: 1),
        make(places: [1, 5, 11, 9, 2], channels: 5, width: 37, steps: 3, isGuided: true, limit: 2),
        make(places: Array(0..<27), channels: 1, width: 9, steps: 2, isGuided: true, temperature: 0.5),
        make(places: [8, 4], channels: 33, width: 12, steps: 4, limit: 0.5),
        make(places: [3, 0, 7], channels: 17, width: 20, steps: 3, kind: .sde),
        make(places: [1, 5, 11, 9, 2], channels: 4, width: 37, steps: 4, isGuided: true, temperature: 0.5, kind: .sde),
        make(places: [3, 0, 7], channels: 17, width: 20, steps: 3, kind: .ode),
        make(places: [1, 5, 11, 9, 2], channels: 4, width: 37, steps: 4, isGuided: true, temperature: 0.5, kind: .ode),
    ]

    /// Three images of each of three labels, of three tokens each.
    private static func make(
        places: [Int32], channels: Int, width: Int, steps: Int, isGuided: Bool = false, temperature: Float = 1, limit: Float = 0,
        kind: TokenSteps = .diffusion
    ) -> OperationCase {
        let network = TokenNetworkReference(width: width, depth: 2, outputs: (kind == .diffusion ? 2 : 1) * channels, channels: channels)
        let isFlow = kind != .diffusion
        let flow = FlowSchedule(.quiet, steps: steps, shift: 2, sampler: kind == .ode ? .ode : .sde)
        let schedule = DiffusionSchedule(steps: steps)
        let (labels, first, seed, stream, tokens, perLabel): ([Int32], UInt32, UInt64, Int, Int, Int) = (
            [4, 0, 7], 11, 0x9ABC_DEF0_1234_5678, 0x2011_0000, 3, 3
        )
        let (rows, halves, strength) = (places.count, isGuided ? 2 : 1, 1.5)
        func words(_ words: [UInt32]) -> OperationCase.Input { .init(shape: [words.count], values: .words(words), isDifferentiable: false) }
        func plain(_ shape: [Int], _ values: OperationCase.Input.Values = .normal(1)) -> OperationCase.Input {
            .init(shape: shape, values: values, isDifferentiable: false)
        }
        let order = schedule.times.indices.reversed()
        let fixed: [OperationCase.Input] = [
            plain([rows, channels]), plain([halves * rows, width]), plain([steps, width]),
            isFlow
                ? plain([steps, FlowStepNumbers.count], .floats(flow.numbers.flatMap(\.values)))
                : plain([steps, DiffusionStepNumbers.count], .floats(order.flatMap { schedule.numbers($0).values })),
            plain([rows], .integers(places)), words([UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)]),
            plain([labels.count], .integers(labels)), words([first]), words([0]), plain([1], .floats([Float(strength)])),
        ]
        return OperationCase(
            name: "token_diffusion \(rows) x \(channels), width \(width), \(steps) steps\(isGuided ? ", guided" : "")\(isFlow ? ", flow, \(kind)" : "")\(limit > 0 ? ", limit \(limit)" : "")",
            inputs: fixed + network.inputs,
            build: { graph, x in
                [
                    try graph.tokenDiffusion(
                        x[0], condition: x[1], table: graph.concat([x[2], x[3]], axis: 1),
                        weights: network.packed(graph, x.dropFirst(fixed.count)), shape: network.shape, places: x[4],
                        noise: NoiseSource(stream: stream, key: x[5], labels: x[6], firstImage: x[7], round: x[8]), tokens: tokens,
                        imagesPerLabel: perLabel, cfg: isGuided ? x[9] : nil, temperature: temperature, limit: limit, kind: kind)
                ]
            },
            reference: { x in
                let random = Philox(seed: seed)
                let weights = x.dropFirst(fixed.count)
                let input = Array(weights.suffix(2))
                func predicted(_ token: [Double], _ condition: Int, _ step: Int) -> [Double] {
                    let sum = (0..<width).map { x[1][condition * width + $0] + x[2][step * width + $0] }
                    return network.row(
                        TokenNetworkReference.linear(token, input[0], input[1]), condition: sum, weights: weights.dropLast(2),
                        temperature: 1)
                }
                return [
                    (0..<rows).flatMap { row in
                        let (image, token) = (Int(places[row]) / tokens, Int(places[row]) % tokens)
                        var values = Array(x[0][(row * channels)..<((row + 1) * channels)])
                        var before = [Double](repeating: 0, count: channels)
                        for (step, index) in order.enumerated() {
                            let output = predicted(values, row, step)
                            let other = isGuided ? predicted(values, rows + row, step) : output
                            let (alphaBar, numbers) = (schedule.alphaBars[index], schedule.numbers(index))
                            values = (0..<channels).map { c in
                                let noise = other[c] + (isGuided ? strength : 1) * (output[c] - other[c])
                                let words = random.words(
                                    UInt32(token * channels + c), first + UInt32(image % perLabel),
                                    UInt32(labels[image / perLabel]), UInt32(stream + step))
                                let normal = (-2 * log((Double(words[0]) + 1) / 0x1p32)).squareRoot()
                                    * cos(2 * .pi * Double(words[1]) / 0x1p32)
                                if isFlow {
                                    let numbers = flow.numbers[step]
                                    let other = kind == .ode ? before[c] : normal * Double(temperature)
                                    before[c] = noise
                                    return numbers.x * values[c] + numbers.velocity * noise + numbers.other * other
                                }
                                var clean = (1 / alphaBar).squareRoot() * values[c] - (1 / alphaBar - 1).squareRoot() * noise
                                if limit > 0 { clean = min(max(clean, -Double(limit)), Double(limit)) }
                                let mean = schedule.shareOfClean(index) * clean + schedule.shareOfNoisy(index) * values[c]
                                let part = (output[channels + c] + 1) / 2
                                let logVariance = part * log(schedule.betas[index]) + (1 - part) * numbers.logVariance
                                return mean + (index > 0 ? exp(logVariance / 2) * normal * Double(temperature) : 0)
                            }
                        }
                        return values
                    }
                ]
            }, tolerance: 1e-5)
    }
}
