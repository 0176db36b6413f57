import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR

@Suite(.serialized) struct ModelDiagnosticsTests {
    private func state(_ device: Device, shift: Int) throws -> (state: ModelState, model: Generator) {
        var configuration = TinyRun.pixels.configuration
        configuration.stage.label?.draftShift = shift
        let model = try configuration.makeGenerator()
        let state = ModelState(model, memory: DeviceMemory(device))
        try state.initialize(seed: 3)
        // Heads of a new model all attend evenly; larger weights make them differ.
        let storage = model.layout.storage("ema")
        try state.memory.write(try state.memory.read(Float.self, from: storage).map { $0 * 4 }, to: storage)
        return (state, model)
    }

    @Test("entropies and errors are those of the sampler's encoder and of the speculative loop", arguments: [0, 1, 3])
    func againstLoop(_ shift: Int) throws {
        try TestDevice.with(.cpu16) { device in
            let (state, model) = try state(device, shift: shift)
            let labels = Array(0..<10) + Array(0..<7)
            let probed = try LabelProbe(
                state.labelStage, state.sampling, sigma: #require(model.head.sigma), shift: shift)(labels + [nil])
            #expect(probed.map(\.label) == labels + [nil])
            let sampler = Sampler(model, memory: state.memory)
            let tokens = model.tokens
            for (row, label) in (labels + [nil]).enumerated() {
                let condition = try sampler.condition(label)
                #expect(zip(probed[row].entropy, condition.entropy).allSatisfy { abs($0 - Double($1)) < 1e-6 })
                for position in shift..<tokens {
                    let z = condition.z[(position * 16)..<(position * 16 + 16)]
                    let length = z.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
                    let ratio = probed[row].error[position] / probed[row].relativeError[position]
                    #expect(abs(ratio - length) < 1e-5 * length)
                }
            }
            _ = try sampler.tokens(labels: labels, perLabel: 1, seed: 1, speculation: Speculation(threshold: 1, shift: shift))
            let distance = try #require(sampler.loop).verdict().distance
            for (row, label) in probed.dropLast().enumerated() {
                #expect(label.draftEntropy[0] == 0 && label.draftEntropy.dropFirst().allSatisfy { $0 > 0 && $0 <= 1 })
                for position in 0..<tokens {
                    let expected = Double(distance[row * tokens + position])
                    let error = label.error[position]
                    #expect(position < shift ? error.isNaN && expected.isInfinite : abs(error - expected) < 1e-4 * expected)
                }
            }
        }
    }

    /// Eq. 4 of one label in double precision from packed query and key [K + R, 3 D]: of each head, and of their average.
    private func entropies(_ qkv: [Float], _ shape: LabelStage.Shape) -> (heads: [[Double]], average: [Double]) {
        let (tokens, width, size) = (shape.tokens, shape.embed, shape.embed / shape.heads)
        func entropy(_ weights: [Double]) -> Double {
            let sum = -weights.reduce(0) { $0 + max($1, 1e-8) * log(max($1, 1e-8)) }
            return weights.count < 2 ? 0 : min(max(sum / log(Double(weights.count)), 0), 1)
        }
        let attention = (0..<shape.heads).map { head in
            (0..<tokens).map { row in
                let query = (shape.buffer + row) * 3 * width + head * size
                let powers = (0...(shape.buffer + row)).map { column -> Double in
                    let key = column * 3 * width + width + head * size
                    return exp((0..<size).reduce(0.0) { $0 + Double(qkv[query + $1]) * Double(qkv[key + $1]) } / Double(size).squareRoot())
                }
                let all = powers.map { $0 / powers.reduce(0, +) }
                let content = all[shape.buffer...]
                return content.map { $0 / max(content.reduce(0, +), 1e-8) }
            }
        }
        let average = (0..<tokens).map { row in
            (0...row).map { column in attention.reduce(0) { $0 + $1[row][column] } / Double(shape.heads) }
        }
        return (attention.map { $0.map(entropy) }, average.map(entropy))
    }

    @Test("the entropy of each head is that of its attention; the average's is no less than their mean")
    func heads() throws {
        try TestDevice.with(.cpu16) { device in
            let (state, model) = try state(device, shift: 0)
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout, storage: "ema")
            let labels = try graph.input("test_labels", [2], .int32)
            var qkv: Tensor?
            let (z, _) = try state.labelStage.encode(state.labelStage.embed(labels, scope), scope, inspecting: { qkv = $0 }).encoded()
            let packed = try #require(qkv)
            graph.output(z)
            graph.output(packed)
            let executor = try state.memory.executor(graph)
            try executor.write([Int32(4), 9], to: labels)
            try executor.run()
            let values = try executor.read(packed)
            let probed = try LabelProbe(
                state.labelStage, state.sampling, sigma: #require(model.head.sigma), shift: 0)([4, 9])
            var widest = 0.0
            for (row, label) in probed.enumerated() {
                let size = values.count / 2
                let expected = try entropies(Array(values[(row * size)..<((row + 1) * size)]), state.labelStage.shape)
                for (head, entropy) in label.heads.enumerated() {
                    let worst = zip(entropy, expected.heads[head]).map { abs($0 - $1) }.max() ?? 1
                    #expect(worst < 1e-4, "head \(head): \(worst)")
                }
                let worst = zip(label.entropy, expected.average).map { abs($0 - $1) }.max() ?? 1
                #expect(worst < 1e-4, "average: \(worst)")
                #expect(zip(label.entropy, label.headEntropy).allSatisfy { $0 > $1 - 1e-5 })
                widest = max(widest, zip(label.entropy, label.headEntropy).map { $0 - $1 }.max() ?? 0)
            }
            // Otherwise this would hold for a head that is the average, too.
            #expect(widest > 1e-3, "\(widest)")
        }
    }

    @Test("sigma is that of Eq. 7")
    func sigma() {
        let map = SigmaMap(maximum: 0.5, tau: 2)
        #expect(map.deviation(0) == 0 && map.deviation(1) == 0.5 && map.deviation(7) == 0.5)
        #expect(abs(map.deviation(0.3) - 0.5 * (exp(0.15) - 1) / (exp(0.5) - 1)) < 1e-7)
    }
}
