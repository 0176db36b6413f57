import COpenCL
import TestSupport
import Testing

@testable import Checks
@testable import DriftGPU

/// Convolutions and their gradients on tensor cores: gpu_convolution_mma.cl and gpu_convolution_weight_mma.cl.
@Suite(.enabled(if: TestDevice.shapes.contains(.gpu))) struct ConvolutionMMATests {
    enum Result: String, CaseIterable, Sendable { case forward, input, weight }

    /// A layer, and which of its results tensor cores calculate.
    struct Case: Sendable, CustomTestStringConvertible {
        var layer: ConvolutionCases.Layer
        var rounded: Set<Result> = [.forward, .input, .weight]

        /// What fuses into a convolution has no gradient.
        var results: [Result] { layer.upsample > 1 || layer.hasResidual ? [.forward] : Result.allCases }
        var testDescription: String { layer.name }
    }

    private static let uneven = Padding(top: 0, left: 0, bottom: 1, right: 1)

    /// Strides of 1, 2 and 3, uneven padding, padding that is wider than the taps, images of one pixel, channels that are no
    /// whole loads, more of them than a slice has, every tile, edges that hang over, several splits.
    static let cases: [Case] = [
        Case(layer: .init(height: 5, width: 7, channels: 3, outputs: 20), rounded: [.forward, .weight]),
        Case(layer: .init(batch: 2, height: 6, width: 6, channels: 20, outputs: 33, stride: 2, padding: uneven)),
        Case(layer: .init(batch: 17, height: 1, width: 1, channels: 16, outputs: 18)),
    ] + (TestDevice.isSmall ? [] : [
        Case(
            layer: .init(height: 7, width: 11, channels: 5, outputs: 16, kernel: (2, 4), stride: 3, padding: Padding(2), hasBias: false),
            rounded: [.forward, .weight]),
        Case(layer: .init(height: 9, width: 9, channels: 70, outputs: 66, kernel: (1, 1), stride: 2, padding: Padding(0))),
        Case(layer: .init(height: 4, width: 5, channels: 17, outputs: 16, padding: Padding(3), hasBias: false)),
        Case(layer: .init(height: 3, width: 9, channels: 150, outputs: 34)),
        Case(layer: .init(batch: 2, height: 15, width: 18, channels: 16, outputs: 128)),
        Case(layer: .init(height: 13, width: 20, channels: 64, outputs: 64)),
        Case(layer: .init(batch: 3, height: 3, width: 4, channels: 6, outputs: 18, upsample: 2)),
        Case(layer: .init(height: 2, width: 5, channels: 7, outputs: 16, hasBias: false, upsample: 3, hasResidual: true)),
        Case(layer: .init(height: 2, width: 13, channels: 20, outputs: 17, hasResidual: true)),
    ])

    /// In double precision: y, and the gradients of the input and of the weight.
    private static func reference(
        _ layer: ConvolutionCases.Layer, _ x: [Double], _ weight: [Double], _ bias: [Double], _ dy: [Double]
    ) -> [Result: [Double]] {
        guard layer.upsample == 1 else { return [.forward: layer(x, weight, bias)] }
        let gradients = layer.gradients(x, weight, dy)
        return [.forward: layer(x, weight, bias), .input: gradients.x, .weight: gradients.weight]
    }

    /// Results are those of the rounded inputs up to single precision's roundings of the sums, element by element; those that
    /// tensor cores leave alone are of the inputs as they are.
    @Test(arguments: cases, TensorCoreGEMMTests.precisions)
    func agreesWithReference(_ test: Case, _ precision: Precision) throws {
        let layer = test.layer
        var random = TestRandom(11)
        func draw(_ count: Int) -> [Double] { (0..<count).map { _ in Double(Float(random.normal())) } }
        let taps = layer.kernel.height * layer.kernel.width
        let x = draw(layer.batch * layer.height * layer.width * layer.channels)
        let weight = draw(layer.outputs * layer.channels * taps)
        let bias = layer.hasBias ? draw(layer.outputs) : []
        let count = layer.batch * layer.outHeight * layer.outWidth * layer.outputs
        let (dy, residual) = (draw(count), layer.hasResidual ? draw(count) : [])
        let got = try Self.run(test, precision, [x, weight, bias, dy, residual])

        func values(_ change: (Double) -> Double) -> [Result: [Double]] {
            Self.reference(layer, x.map(change), weight.map(change), bias, dy.map(change))
        }
        let (exact, rounded) = (values { $0 }, values { ProductCase.rounded($0, precision) })
        let sizes = Self.reference(layer, x.map(abs), weight.map(abs), bias.map(abs), dy.map(abs))
        for (result, numbers) in zip(test.results, got) {
            var want = (test.rounded.contains(result) ? rounded : exact)[result] ?? []
            var size = sizes[result] ?? []
            if result == .forward, layer.hasResidual {
                want = zip(want, residual).map(+)
                size = zip(size, residual).map { $0 + abs($1) }
            }
            #expect(numbers.count == want.count)
            let errors = want.indices.map { abs(Double(numbers[$0]) - want[$0]) / max(size[$0], 1e-30) }
            let worst = errors.reduce(0) { $1 > $0 || $1.isNaN ? $1 : $0 }
            #expect(worst <= 1e-6, "\(layer.name), \(precision): \(result) is off by \(worst) of the terms' sizes")
        }
    }

    /// Runs a case twice, on values of x, weight, bias, dy and residual.
    private static func run(_ test: Case, _ precision: Precision, _ values: [[Double]]) throws -> [[Float]] {
        let layer = test.layer
        return try TestDevice.with(.gpu, precision: precision) { device in
            let graph = Graph()
            let x = try graph.input("x", [layer.batch, layer.height, layer.width, layer.channels])
            let weight = try graph.input("weight", [layer.outputs, layer.channels, layer.kernel.height, layer.kernel.width])
            let bias = try layer.hasBias ? graph.input("bias", [layer.outputs]) : nil
            let whole = try layer.upsample > 1 ? graph.upsample(x, factor: layer.upsample) : x
            let y = try graph.convolution(whole, weight: weight, bias: bias, stride: layer.stride, padding: layer.padding)
            var inputs: [Tensor?] = [x, weight, bias]
            var results = [y]
            if test.results == [.forward] {
                inputs.append(nil)
            } else {
                let dy = try graph.input("dy", y.shape)
                inputs.append(dy)
                results += try graph.gradients(of: [(y, dy)], withRespectTo: [x, weight]).compactMap { $0 }
            }
            if layer.hasResidual {
                let residual = try graph.input("residual", y.shape)
                inputs.append(residual)
                results[0] = try graph.add(residual, y)
            }
            results.forEach(graph.output)
            var options = Schedule.Options()
            options.guardBytes = 256
            let schedule = try Schedule(graph, traits: device.traits, gemm: device.gemm, options: options)
            let kernels = Self.kernels(schedule.steps.flatMap(\.commands))
            let expected = test.results.flatMap { Self.kernels($0, isRounded: test.rounded.contains($0)) }
            #expect(kernels.sorted() == expected.sorted(), "\(layer.name)")

            let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
            let runs = try (0..<2).map { _ in
                for (tensor, value) in zip(inputs, values) {
                    if let tensor { try executor.write(value.map { Float($0) }, to: tensor) }
                }
                try executor.run()
                return try results.map { try executor.read($0) }
            }
            let bits = runs.map { $0.map { $0.map(\.bitPattern) } }
            #expect(bits[0] == bits[1], "two runs differ")
            #expect(try executor.damage() == [])
            return runs[0]
        }
    }

    private static func kernels(_ commands: [Command]) -> [String] {
        commands.map { command in if case .kernel(let launch) = command { launch.kernel } else { "no kernel" } }
    }

    private static func kernels(_ result: Result, isRounded: Bool) -> [String] {
        let mma = isRounded ? "_mma" : ""
        return result == .weight
            ? ["convolution_weight\(mma)_backward", "convolution_weight_sum"]
            : ["convolution\(mma)_pack", "convolution\(mma)_forward"]
    }

    /// Against the inputs as they are, and gradients against central differences.
    @Test(.enabled(if: !TestDevice.isSmall), arguments: [1, 2, 5, 9, 11], TensorCoreGEMMTests.precisions)
    func staysNearSinglePrecision(_ index: Int, _ precision: Precision) throws {
        try Self.cases[index].layer.operationCase().check(.gpu, precision: precision)
    }

    /// What is not finite stays where the taps see it: neither zeros beyond the channels nor those beyond the taps carry it on.
    @Test(arguments: TensorCoreGEMMTests.precisions) func specialValuesStay(_ precision: Precision) throws {
        let layer = ConvolutionCases.Layer(height: 5, width: 7, channels: 3, outputs: 20)
        var values = [3 * 5 * 7, 20 * 3 * 9, 20, 20 * 5 * 7].map { [Double](repeating: 1, count: $0) } + [[]]
        values[0][0] = .nan
        values[0][1] = .infinity
        let got = try Self.run(Case(layer: layer, rounded: [.forward, .weight]), precision, values)
        for pixel in 0..<35 {
            let isSeen = pixel / 7 <= 1 && pixel % 7 <= 1
            #expect(got[0][pixel * 20..<(pixel + 1) * 20].allSatisfy { $0.isFinite != isSeen }, "pixel \(pixel)")
        }
        // Channel 2 has finite pixels alone.
        #expect(got[2].indices.allSatisfy { $0 / 9 % 3 != 2 || got[2][$0].isFinite })
    }

    @Test func smallOnesStayInSinglePrecision() {
        func kernels(_ layer: ConvolutionCases.Layer, local: Int = 48 << 10) -> [String] {
            let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2, localMemory: local)
            let tensor = TensorCoreGEMM(precision: .bf16, cores: .instructions, fallback: NativeGEMM())
            let convolution = Convolution(stride: layer.stride, padding: layer.padding, hasBias: false)
            let x = TensorType([layer.batch, layer.height, layer.width, layer.channels])
            let weight = TensorType([layer.outputs, layer.channels, layer.kernel.height, layer.kernel.width])
            let dy = TensorType([layer.batch, layer.outHeight, layer.outWidth, layer.outputs])
            func context(_ inputs: [TensorType]) -> LaunchContext {
                LaunchContext(inputs: inputs, outputs: [], traits: traits, gemm: tensor)
            }
            let gradient = ConvolutionWeightGradient(forward: convolution, weight: weight)
            return Self.kernels(convolution.commands(context([x, weight])) + gradient.commands(context([x, dy])))
        }
        func both(isRounded: Bool) -> [String] {
            [.forward, .weight].flatMap { Self.kernels($0, isRounded: isRounded) }
        }
        #expect(kernels(.init(height: 4, width: 4, channels: 2, outputs: 16)) == both(isRounded: true))
        #expect(kernels(.init(height: 3, width: 5, channels: 2, outputs: 16)) == both(isRounded: false))
        #expect(kernels(.init(height: 4, width: 4, channels: 1, outputs: 16)) == both(isRounded: false))
        #expect(kernels(.init(height: 4, width: 4, channels: 2, outputs: 15)) == both(isRounded: false))
        // Two slices of 64 rows and 64 columns take 20 KiB.
        #expect(kernels(.init(height: 4, width: 4, channels: 2, outputs: 16), local: 20479) == both(isRounded: false))
        #expect(kernels(.init(height: 4, width: 4, channels: 2, outputs: 16), local: 20480) == both(isRounded: true))
    }

    /// What the device counts is what the plan said. Mesa counts what a kernel declares twice.
    @Test(arguments: [TensorCoreGEMM.Tile.small, .init(m: 128, n: 64)])
    func localBytesAreThoseOfTheKernels(_ tile: TensorCoreGEMM.Tile) throws {
        try TestDevice.with(.gpu, precision: .bf16) { device in
            let tensor = try #require(device.gemm as? TensorCoreGEMM)
            for name in ["convolution_mma_forward", "convolution_weight_mma_backward"] {
                let family = "gpu_" + name.replacing(/_[a-z]*$/, with: "")
                let handle = try device.makeKernel(name, family: family, defines: tensor.defines(tile))
                defer { clReleaseKernel(handle) }
                var bytes: cl_ulong = 0
                let status = clGetKernelWorkGroupInfo(
                    handle, device.about.id, cl_kernel_work_group_info(CL_KERNEL_LOCAL_MEM_SIZE), 8, &bytes, nil)
                let planned = tile.localBytes(tensor.cores)
                #expect(status == CL_SUCCESS && [planned, 2 * planned].contains(Int(bytes)), "\(name): \(bytes)")
            }
        }
    }

    /// Splits are whole slices that take every pixel, and follow from the shape alone; tiles fit local memory.
    @Test func splitsFollowFromTheShape() {
        let tensor = TensorCoreGEMM(precision: .bf16, cores: .instructions, fallback: NativeGEMM())
        for (side, channels, outputs) in [(256, 128, 128), (64, 3, 128), (16, 512, 512), (4, 16, 16), (33, 70, 50)] {
            let shape = Convolution.Shape(
                batch: 4, height: side, width: side, channels: channels, kernelHeight: 3, kernelWidth: 3, outHeight: side,
                outWidth: side, outputs: outputs)
            let tilings = [(2, 20480), (132, 48 << 10)].map { units, local in
                let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: units, localMemory: local)
                let tiling = ConvolutionWeightGradient.TensorTiling(shape, tensor, traits)
                #expect(tiling.tile.localBytes(.instructions) <= local)
                return tiling
            }
            let (splits, pixels) = (tilings[0].splits, tilings[0].pixelsPerSplit)
            #expect(tilings[1].splits == splits && tilings[1].pixelsPerSplit == pixels && pixels.isMultiple(of: 32))
            #expect(splits * pixels >= shape.pixels && (splits - 1) * pixels < shape.pixels)
            #expect(splits == 1 || pixels >= 256)
        }
    }
}
