import Testing

@testable import DriftGPU

@Suite struct ConvolutionTests {
    private func schedule(_ graph: Graph) throws -> Schedule {
        try Schedule(graph, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
    }

    @Test func takesUpItsNeighbours() throws {
        let graph = Graph()
        let (x, residual) = (try graph.input("x", [1, 4, 4, 8]), try graph.input("residual", [1, 8, 8, 8]))
        let weight = try graph.input("weight", [8, 8, 3, 3])
        let y = try graph.convolution(graph.upsample(x), weight: weight, padding: Padding(1))
        graph.output(try graph.add(residual, y))
        let steps = try schedule(graph).steps
        #expect(steps.map(\.node.operation.name) == ["convolution_upsample_add"])
    }

    /// What a gradient reads must be there.
    @Test func keepsWhatItsGradientReads() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [1, 4, 4, 8]), try graph.input("weight", [8, 8, 3, 3]))
        let y = try graph.convolution(graph.upsample(x), weight: weight, padding: Padding(1))
        let gradients = try graph.gradients(of: [(y, graph.input("seed", y.shape))], withRespectTo: [weight])
        ([y] + gradients.compactMap { $0 }).forEach(graph.output)
        #expect(try schedule(graph).steps.map(\.node.operation.name) == ["upsample", "convolution", "convolution_weight"])
    }

    /// 1152 taps of 65536 pixels would take 302 MB.
    @Test func neverWritesTheTaps() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [1, 256, 256, 128]), try graph.input("weight", [128, 128, 3, 3]))
        graph.output(try graph.convolution(x, weight: weight, padding: Padding(1)))
        for isGPU in [false, true] {
            let traits = DeviceTraits(teamSize: isGPU ? 64 : 1, lanes: isGPU ? 4 : 16, computeUnits: 2)
            let plan = try Schedule(graph, traits: traits, gemm: NativeGEMM()).plan
            #expect(plan.arenaBytes == 4 * (256 * 256 * 128 + 128 * 128 * 9))
        }
    }

    @Test func aStripFitsLocalMemory() {
        for (height, width, channels, kernel, stride) in [
            (256, 256, 512, 3, 1), (7, 4096, 128, 16, 1), (64, 64, 3, 5, 4), (1, 1, 1, 1, 1), (1024, 13, 256, 3, 7),
        ] {
            for (lanes, local) in [(16, 1 << 20), (8, 48 << 10), (4, 32 << 10)] {
                let shape = Convolution.Shape(
                    batch: 1, height: height, width: width, channels: channels, kernelHeight: kernel, kernelWidth: kernel,
                    outHeight: (height + stride - 1) / stride, outWidth: (width + stride - 1) / stride, outputs: 33)
                let traits = DeviceTraits(teamSize: 1, lanes: lanes, computeUnits: 2, localMemory: local)
                let tiling = Convolution.Tiling(shape, stride: stride, traits)
                #expect(tiling.patchBytes <= local && tiling.depth >= 1)
                #expect(tiling.stripColumns.isMultiple(of: tiling.rows) && tiling.stripRows >= 1)
            }
        }
    }

    @Test func shapesAreChecked() throws {
        let graph = Graph()
        let (x, weight) = (try graph.input("x", [2, 5, 5, 4]), try graph.input("weight", [6, 4, 3, 3]))
        let other = try graph.input("other", [6, 3, 3, 3])
        let (flat, bias) = (try graph.input("flat", [2, 5, 4]), try graph.input("bias", [5]))
        let wide = try graph.input("wide", [6, 4, 17, 1])
        let attempts: [() throws -> Tensor] = [
            { try graph.convolution(x, weight: other) }, { try graph.convolution(flat, weight: weight) },
            { try graph.convolution(x, weight: flat) }, { try graph.convolution(x, weight: weight, bias: bias) },
            { try graph.convolution(x, weight: weight, stride: 0) },
            { try graph.convolution(x, weight: weight, padding: Padding(-1)) },
            { try graph.convolution(x, weight: wide, padding: Padding(20)) },
            { try graph.convolution(graph.input("small", [2, 2, 5, 4]), weight: weight) },
        ]
        for attempt in attempts { #expect(throws: GraphError.self) { try attempt() } }
        #expect(try graph.convolution(x, weight: weight, stride: 2).shape == [2, 2, 2, 6])
    }
}
