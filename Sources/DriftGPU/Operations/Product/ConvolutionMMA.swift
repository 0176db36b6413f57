/// Convolutions and the gradient of their weight on tensor cores: gpu_convolution_mma.cl and gpu_convolution_weight_mma.cl.
extension LaunchContext {
    /// Who multiplies on tensor cores, where a convolution of this shape is done there; else nil.
    func tensorGEMM(for shape: Convolution.Shape) -> TensorCoreGEMM? {
        guard let tensor = gemm as? TensorCoreGEMM else { return nil }
        // As of products: one block of an mma each way, smaller ones would multiply mostly zeros.
        guard min(shape.pixels, shape.outputs, shape.channels * shape.taps) >= 16,
            TensorCoreGEMM.Tile.small.localBytes(tensor.cores) <= traits.localMemory
        else { return nil }
        return tensor
    }
}

extension Convolution.Shape {
    /// Channels of a tap, whole loads of four.
    var depth: Int { (channels + 3) / 4 * 4 }

    /// Words of an output's packed weights: whole slices of 16.
    func words(_ precision: Precision) -> Int { (taps * depth / (precision == .bf16 ? 2 : 1) + 15) / 16 * 16 }
}

extension Convolution {
    func tensorCommands(_ context: LaunchContext, _ shape: Shape, _ tensor: TensorCoreGEMM) -> [Command] {
        let tile = tensor.tile(m: shape.pixels, n: shape.outputs, context.traits)
        let words = shape.words(tensor.precision)
        let indices = max(shape.indices, shape.taps * shape.depth)
        var defines = tensor.defines(tile)
        if enlargement.factor > 1 { defines["CONVOLUTION_ENLARGED"] = "1" }
        return [
            context.itemLaunch(
                "convolution_mma_pack", family: "gpu_convolution_mma", defines: defines, items: shape.outputs * words,
                indices: indices,
                arguments: [
                    .input(1), .scratch(0), .int(shape.outputs), .int(shape.channels), .int(shape.taps), .int(shape.depth),
                    .int(words), .int(isTransposed ? 1 : 0),
                ],
                traffic: Traffic(bytes: 4 * (context.inputs[1].count + shape.outputs * words))),
            .kernel(
                Launch(
                    kernel: "convolution_mma_forward", family: "gpu_convolution_mma", defines: defines,
                    arguments: tensors + arguments(shape) + flags + [.int(shape.depth), .int(words)],
                    global: [
                        (shape.pixels + tile.m - 1) / tile.m * tile.items, (shape.outputs + tile.n - 1) / tile.n,
                    ],
                    local: [tile.items, 1], indices: indices, traffic: traffic(context, shape))),
        ]
    }
}

extension ConvolutionWeightGradient {
    /// How the product of taps and outputs is cut on tensor cores. As in single precision the splits do not follow from the
    /// device's size.
    struct TensorTiling: Equatable {
        let tile: TensorCoreGEMM.Tile
        let splits: Int
        let pixelsPerSplit: Int

        init(_ shape: Convolution.Shape, _ tensor: TensorCoreGEMM, _ traits: DeviceTraits) {
            let rows = shape.taps * shape.depth
            // Enough groups for a device of any size, each part long enough to pay for its partial sums.
            let small = TensorCoreGEMM.Tile.small
            let tiles = (rows + small.m - 1) / small.m * ((shape.outputs + small.n - 1) / small.n)
            let count = max(1, min((1024 + tiles - 1) / tiles, shape.pixels / 256))
            // Whole slices of 32 values.
            pixelsPerSplit = ((shape.pixels + count - 1) / count + 31) / 32 * 32
            splits = (shape.pixels + pixelsPerSplit - 1) / pixelsPerSplit
            tile = tensor.tile(m: rows, n: shape.outputs, batch: splits, traits)
        }
    }

    func tensorCommands(_ context: LaunchContext, _ shape: Convolution.Shape, _ tensor: TensorCoreGEMM) -> [Command] {
        let tiling = TensorTiling(shape, tensor, context.traits)
        let (tile, rows) = (tiling.tile, shape.taps * shape.depth)
        return [
            .kernel(
                Launch(
                    kernel: "convolution_weight_mma_backward", family: "gpu_convolution_weight_mma",
                    defines: tensor.defines(tile),
                    arguments: [.input(0), .input(1), .scratch(0)] + forward.arguments(shape)
                        + [.int(shape.depth), .int(tiling.pixelsPerSplit)],
                    global: [
                        (rows + tile.m - 1) / tile.m * tile.items, (shape.outputs + tile.n - 1) / tile.n, tiling.splits,
                    ],
                    local: [tile.items, 1, 1], indices: max(shape.indices, rows), traffic: traffic(context, shape))),
            sumLaunch(context, shape, splits: tiling.splits),
        ]
    }
}
