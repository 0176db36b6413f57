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
        // A stride: without one a single tap is a linear layer.
        ConvolutionCases.Layer(height: 1, width: 33, channels: 70, outputs: 66, kernel: (1, 1), stride: 2, padding: Padding(0)),
        // Images of a pixel, and padding that is wider than the taps: no column has all of them.
        ConvolutionCases.Layer(batch: 17, height: 1, width: 1, channels: 16, outputs: 18),
        ConvolutionCases.Layer(height: 4, width: 2, channels: 17, outputs: 17, padding: Padding(3)),
    ]

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
            let (inputs, seeds) = (values[0].map(Double.init), values[1].map(Double.init))
            let weights = [Double](repeating: 0, count: weight.count)
            let want = layer.gradients(inputs, weights, seeds).weight
            let sizes = layer.gradients(inputs.map(abs), weights, seeds.map(abs)).weight
            #expect(runs[0].count == want.count)
            let worst = want.indices.map { abs(Double(runs[0][$0]) - want[$0]) / max(sizes[$0], 1e-30) }.max() ?? .infinity
            #expect(worst < 1e-6, "\(worst) of the terms' sizes")
        }
    }
}
