import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

/// The gradient of a convolution's weight against its definition, where it is cut into several parts.
@Suite struct ConvolutionWeightGradientTests {
    static let layers = [
        ConvolutionCases.Layer(batch: 2, height: 9, width: 21, channels: 3, outputs: 5),
        ConvolutionCases.Layer(
            batch: 3, height: 7, width: 6, channels: 10, outputs: 35, stride: 2,
            padding: Padding(top: 0, left: 0, bottom: 1, right: 1)),
        ConvolutionCases.Layer(height: 1, width: 17, channels: 70, outputs: 66, kernel: (1, 1), padding: Padding(0)),
    ]

    /// dW[o, c, ky, kx] = sum of dy[b, oy, ox, o] x[b, oy stride + ky - top, ox stride + kx - left, c], in double precision,
    /// and the sum of the terms' sizes.
    private func reference(_ layer: ConvolutionCases.Layer, _ x: [Float], _ dy: [Float]) -> [(sum: Double, size: Double)] {
        let taps = layer.kernel.height * layer.kernel.width
        var result = [(sum: Double, size: Double)](repeating: (0, 0), count: layer.outputs * layer.channels * taps)
        for b in 0..<layer.batch {
            for oy in 0..<layer.outHeight {
                for ox in 0..<layer.outWidth {
                    for tap in 0..<taps {
                        let iy = oy * layer.stride + tap / layer.kernel.width - layer.padding.top
                        let ix = ox * layer.stride + tap % layer.kernel.width - layer.padding.left
                        guard iy >= 0, ix >= 0, iy < layer.height, ix < layer.width else { continue }
                        for o in 0..<layer.outputs {
                            let gradient = Double(dy[((b * layer.outHeight + oy) * layer.outWidth + ox) * layer.outputs + o])
                            for c in 0..<layer.channels {
                                let term = gradient * Double(x[((b * layer.height + iy) * layer.width + ix) * layer.channels + c])
                                let place = (o * layer.channels + c) * taps + tap
                                result[place].sum += term
                                result[place].size += abs(term)
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    @Test(arguments: layers.indices, TestDevice.shapes)
    func agreesWithReference(_ index: Int, _ shape: TeamShape) throws {
        let layer = Self.layers[index]
        if TestDevice.isSmall, layer.outputs > 5 { return }
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let x = try graph.input("x", [layer.batch, layer.height, layer.width, layer.channels])
            let weight = try graph.input(
                "weight", [layer.outputs, layer.channels, layer.kernel.height, layer.kernel.width])
            let y = try graph.convolution(x, weight: weight, stride: layer.stride, padding: layer.padding)
            let dy = try graph.input("dy", y.shape)
            let gradient = try #require(graph.gradients(of: [(y, dy)], withRespectTo: [weight])[0])
            graph.output(gradient)
            var options = Schedule.Options()
            options.guardBytes = 256
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm, options: options),
                memory: DeviceMemory(device, guardBytes: 256))
            var random = TestRandom(UInt64(5 + index))
            let values = [x, dy].map { tensor in (0..<tensor.count).map { _ in Float(random.normal()) } }
            let runs = try (0..<2).map { _ in
                for (tensor, values) in zip([x, dy], values) { try executor.write(values, to: tensor) }
                try executor.run()
                return try executor.read(gradient)
            }
            #expect(runs[0].map(\.bitPattern) == runs[1].map(\.bitPattern), "two runs differ")
            #expect(try executor.damage() == [])
            let want = reference(layer, values[0], values[1])
            #expect(runs[0].count == want.count)
            let worst = zip(runs[0], want).map { abs(Double($0) - $1.sum) / max($1.size, 1e-30) }.max() ?? .infinity
            #expect(worst < 1e-6, "\(worst) of the terms' sizes")
        }
    }
}
