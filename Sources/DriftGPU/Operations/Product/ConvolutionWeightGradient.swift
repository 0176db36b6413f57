/// The gradient of a convolution's weight. Inputs: x, dy. Output: [O, C, kh, kw].
struct ConvolutionWeightGradient: Operation {
    let forward: Convolution
    let weight: TensorType

    var name: String { "convolution_weight" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [weight] }

    private func shape(_ context: LaunchContext) -> Convolution.Shape { forward.shape([context.inputs[0], weight]) }

    /// How the product of taps and outputs is cut; the splits follow from the shapes and the team shape alone, so two devices
    /// of one shape add in the same order.
    private struct Tiling {
        /// Taps of a tile, its channels of each, and its outputs in vectors.
        let taps: Int
        let rows: Int
        let vectors: Int
        /// Groups in each direction of the grid.
        let tiles: Int
        let panels: Int
        let splits: Int
        let linesPerSplit: Int

        init(_ shape: Convolution.Shape, _ traits: DeviceTraits) {
            if traits.isGPUShape {
                (taps, rows, vectors) = (1, 64, 64 / traits.lanes)
                tiles = (shape.taps * shape.channels + 63) / 64
                panels = (shape.outputs + 63) / 64
            } else {
                let needed = (shape.outputs + traits.lanes - 1) / traits.lanes
                let (across, along) = (shape.kernelWidth == 3 ? 3 : 1, needed == 1 || needed == 3 ? 1 : 2)
                // Sums that the registers hold beside what is multiplied: AVX-512 has 32, others 16.
                let sums = traits.lanes == 16 ? 24 : 12
                (taps, vectors) = (across, along)
                rows = [8, 4, 2].first { $0 <= shape.channels && across * $0 * along <= sums } ?? 1
                tiles = shape.taps / taps * ((shape.channels + rows - 1) / rows)
                panels = (needed + vectors - 1) / vectors
            }
            // Enough groups for a device of any size; partial sums are as large as the weight, so not many more.
            let lines = shape.batch * shape.outHeight
            let wanted = traits.isGPUShape ? 1024 : 64
            let count = max(1, min(lines, (wanted + tiles * panels - 1) / (tiles * panels)))
            var most = (lines + count - 1) / count
            if !traits.isGPUShape {
                // What a panel's tiles read again and again stays in the second-level cache, but a split is long enough that its sums
                // cost little, and that all partial sums together take no more than dy.
                let bytes = 4 * shape.outWidth * (shape.channels * shape.width / shape.outWidth + vectors * traits.lanes)
                let pixels = max(1024, shape.channels * shape.taps)
                most = min(most, max((512 << 10) / bytes, (pixels + shape.outWidth - 1) / shape.outWidth))
            }
            linesPerSplit = most
            splits = (lines + linesPerSplit - 1) / linesPerSplit
        }
    }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let shape = shape(context)
        let splits = context.tensorGEMM(for: shape).map { TensorTiling(shape, $0, context.traits).splits }
        return [TensorType([splits ?? Tiling(shape, context.traits).splits, weight.count])]
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let shape = shape(context)
        if let tensor = context.tensorGEMM(for: shape) { return tensorCommands(context, shape, tensor) }
        let tiling = Tiling(shape, context.traits)
        let isGPU = context.traits.isGPUShape
        let items = isGPU ? 256 : 1
        // What the kernel takes without them: a CPU then needs no program beside kernels.cl.
        let defines = isGPU || (tiling.taps == 3 && tiling.vectors == 2 && tiling.rows == (context.traits.lanes == 16 ? 4 : 2))
            ? [:] : [
                "CONVOLUTION_WEIGHT_TAPS": "\(tiling.taps)", "CONVOLUTION_WEIGHT_ROWS": "\(tiling.rows)",
                "CONVOLUTION_VECTORS": "\(tiling.vectors)",
            ]
        return [
            .kernel(
                Launch(
                    kernel: "convolution_weight_backward", family: "convolution_weight", defines: defines,
                    arguments: [.input(0), .input(1), .scratch(0)] + forward.arguments(shape) + [.int(tiling.linesPerSplit)],
                    global: [tiling.tiles * items, tiling.panels, tiling.splits], local: [items, 1, 1],
                    indices: shape.indices, traffic: traffic(context, shape))),
            sumLaunch(context, shape, splits: tiling.splits),
        ]
    }

    func traffic(_ context: LaunchContext, _ shape: Convolution.Shape) -> Traffic {
        Traffic(bytes: 4 * (context.inputs[0].count + context.inputs[1].count), flops: shape.flops)
    }

    /// Adds up what the splits gave.
    func sumLaunch(_ context: LaunchContext, _ shape: Convolution.Shape, splits: Int) -> Command {
        // A CPU's items are squares of vectors.
        let lanes = context.traits.isGPUShape ? 1 : context.traits.lanes
        let squares = (shape.outputs + lanes - 1) / lanes * ((shape.channels * shape.taps + lanes - 1) / lanes)
        return context.itemLaunch(
            "convolution_weight_sum", family: "convolution_weight", items: squares, size: lanes * lanes,
            arguments: [
                .scratch(0), .output(0), .int(shape.outputs), .int(shape.channels), .int(shape.taps), .int(splits),
            ], traffic: Traffic(bytes: 4 * (splits + 1) * weight.count, flops: splits * weight.count))
    }
}
