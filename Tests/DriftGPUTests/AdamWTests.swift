import Foundation
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct AdamWTests {
    /// Three blocks: decayed, not decayed, frozen.
    static let flags: [Int32] = [3, 2, 1]
    static let count = flags.count * ParameterLayout.block

    @Test(arguments: TestDevice.shapes, [0.0, 2.0]) func followsTheFormulas(_ shape: TeamShape, _ maxNorm: Double) throws {
        try TestDevice.with(shape) { device in
            var settings = AdamW()
            settings.maxNorm = maxNorm
            settings.averageDecay = 0.99
            let graph = Graph()
            func flat(_ name: String) throws -> Tensor { try graph.input(name, [Self.count]) }
            let state = AdamW.State(
                parameters: try flat("parameters"), gradient: try flat("gradients"), firstMoment: try flat("moment1"),
                secondMoment: try flat("moment2"), average: try flat("ema"),
                flags: try graph.constant("flags", Self.flags, [Self.flags.count]),
                counters: try graph.input("counters", [2], .uint32), learningRate: try graph.input("rate", [1]))
            let loss = try graph.input("loss", [1])
            let norm = try graph.step(settings, state, loss: loss)
            graph.output(norm)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device, guardBytes: 256))

            var random = TestRandom(11)
            var p = (0..<Self.count).map { _ in Double(Float(random.normal())) }
            var (m, v, average) = (p.map { _ in 0.0 }, p.map { _ in 0.0 }, p)
            let rate = 1e-2
            try executor.write(p.map(Float.init), to: state.parameters)
            try executor.write(average.map(Float.init), to: #require(state.average))
            try executor.write([Float(rate)], to: state.learningRate)
            for step in 1...6 {
                let g = p.map { _ in Double(Float(random.normal())) }
                try executor.write(g.map(Float.init), to: state.gradient)
                // Every third step is broken and must change nothing.
                let isBroken = step % 3 == 0
                try executor.write([isBroken ? Float.nan : 1], to: loss)
                try executor.run()
                let report = try executor.read(norm)
                let active = g.indices.filter { Self.flags[$0 / ParameterLayout.block] & 2 != 0 }
                let size = active.reduce(0) { $0 + g[$1] * g[$1] }.squareRoot()
                let clip = maxNorm > 0 ? min(1, maxNorm / (size + 1e-6)) : 1
                #expect(abs(Double(report[0]) - size) < 1e-5 * size)
                #expect(abs(Double(report[1]) - clip) < 1e-5)
                #expect(report[2] == (isBroken ? 0 : 1))
                if !isBroken {
                    let t = Double(step - step / 3)
                    for i in active {
                        m[i] += (1 - settings.beta1) * (clip * g[i] - m[i])
                        v[i] += (1 - settings.beta2) * (clip * clip * g[i] * g[i] - v[i])
                        if Self.flags[i / ParameterLayout.block] & 1 != 0 { p[i] *= 1 - rate * settings.weightDecay }
                        p[i] -= rate / (1 - pow(settings.beta1, t)) * m[i]
                            / ((v[i] / (1 - pow(settings.beta2, t))).squareRoot() + settings.epsilon)
                    }
                    for i in p.indices { average[i] += (1 - settings.averageDecay) * (p[i] - average[i]) }
                }
                for (tensor, want) in [(state.parameters, p), (state.firstMoment, m), (state.secondMoment, v), (try #require(state.average), average)] {
                    let got = try executor.read(tensor)
                    #expect(zip(got, want).allSatisfy { abs(Double($0) - $1) < 5e-6 })
                }
            }
            #expect(try executor.read(state.counters, as: UInt32.self) == [4, 2])
            #expect(try executor.damage().isEmpty)
        }
    }

    @Test(arguments: TestDevice.shapes) func aBrokenGradientIsSkipped(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let state = AdamW.State(
                parameters: try graph.input("parameters", [64]), gradient: try graph.input("gradients", [64]),
                firstMoment: try graph.input("moment1", [64]), secondMoment: try graph.input("moment2", [64]),
                average: nil, flags: try graph.constant("flags", [Int32(3)], [1]),
                counters: try graph.input("counters", [2], .uint32), learningRate: try graph.input("rate", [1]))
            let loss = try graph.input("loss", [1])
            try graph.step(AdamW(), state, loss: loss)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            let values = [Float](repeating: 2, count: 64)
            try executor.write(values, to: state.parameters)
            try executor.write([Float(1)], to: state.learningRate)
            for broken in [Float.nan, .infinity] {
                var gradient = values
                gradient[63] = broken
                try executor.write(gradient, to: state.gradient)
                try executor.run()
                #expect(try executor.read(state.parameters) == values)
            }
            #expect(try executor.read(state.counters, as: UInt32.self) == [0, 2])
        }
    }

    @Test func everyBlockNeedsAFlag() throws {
        let graph = Graph()
        let flat = try graph.input("flat", [100])
        let state = AdamW.State(
            parameters: flat, gradient: flat, firstMoment: flat, secondMoment: flat, average: nil,
            flags: try graph.constant("flags", [Int32(3), 3], [2]), counters: try graph.input("counters", [2], .uint32),
            learningRate: try graph.input("rate", [1]))
        let loss = try graph.input("loss", [1])
        #expect(throws: GraphError.self) { try graph.step(AdamW(), state, loss: loss) }
    }
}
