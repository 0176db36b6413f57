/// Zeros around an image before a convolution.
public struct Padding: Sendable, Hashable {
    public var top: Int
    public var left: Int
    public var bottom: Int
    public var right: Int

    public init(top: Int, left: Int, bottom: Int, right: Int) {
        (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
    }

    /// As much on every side.
    public init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }
}

/// A convolution over pixels of channels. Inputs: x [B, H, W, C], weight [O, C, kh, kw], bias [O] where there is one, then
/// a residual of the result's shape where one is added. Output: [B, OH, OW, O].
struct Convolution: Operation {
    /// How the input is enlarged before the taps see it.
    struct Enlargement: Sendable, Hashable {
        var factor = 1
        /// Zeros between the pixels, instead of copies of them.
        var isDilated = false

        func callAsFunction(_ extent: Int) -> Int { isDilated ? (extent - 1) * factor + 1 : extent * factor }
    }

    let stride: Int
    let padding: Padding
    let hasBias: Bool
    var enlargement = Enlargement()
    /// The weight is [C, O, kh, kw] with its taps turned round: the gradient with respect to the input.
    var isTransposed = false
    var hasResidual = false

    var name: String {
        (isTransposed ? "convolution_backward" : "convolution") + (enlargement.factor > 1 && !isTransposed ? "_upsample" : "")
            + (hasResidual ? "_add" : "")
    }
    private var residualIndex: Int { hasBias ? 3 : 2 }
    /// The residual is read where the first sum is begun, just before the result's element is first written.
    var inPlace: [(input: Int, output: Int)] { hasResidual ? [(residualIndex, 0)] : [] }

    /// Extents of the input, the taps and the output.
    struct Shape {
        let batch, height, width, channels, kernelHeight, kernelWidth, outHeight, outWidth, outputs: Int
        var taps: Int { kernelHeight * kernelWidth }
        /// Of the output.
        var pixels: Int { batch * outHeight * outWidth }
        /// Pixels of input or output, or taps of all channels: what the kernels count in 32 bits.
        var indices: Int { max(batch * height * width, pixels, channels * taps) }
        var flops: Int { 2 * pixels * outputs * channels * taps }
    }

    func shape(_ inputs: [TensorType]) -> Shape {
        let (x, weight) = (inputs[0].shape, inputs[1].shape)
        let (height, width) = (enlargement(x[1]), enlargement(x[2]))
        return Shape(
            batch: x[0], height: x[1], width: x[2], channels: x[3], kernelHeight: weight[2], kernelWidth: weight[3],
            outHeight: (height + padding.top + padding.bottom - weight[2]) / stride + 1,
            outWidth: (width + padding.left + padding.right - weight[3]) / stride + 1,
            outputs: weight[isTransposed ? 1 : 0])
    }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, weight) = (inputs[0], inputs[1])
        guard x.rank == 4, weight.rank == 4, x.columns == weight.shape[isTransposed ? 0 : 1] else {
            throw GraphError("\(name): \(x) is not [B, H, W, C] for a weight \(weight) [O, C, kh, kw]")
        }
        guard stride > 0, weight.shape[2] <= 16, weight.shape[3] <= 16 else {
            throw GraphError("\(name): stride \(stride), taps \(weight.shape[2]) x \(weight.shape[3]); take a stride of 1 or more, up to 16 x 16 taps")
        }
        guard enlargement(x.shape[1]) + padding.top + padding.bottom >= weight.shape[2],
            enlargement(x.shape[2]) + padding.left + padding.right >= weight.shape[3]
        else { throw GraphError("\(name): \(x) with padding \(padding) is smaller than the taps of \(weight)") }
        let shape = shape(inputs)
        let result = TensorType([shape.batch, shape.outHeight, shape.outWidth, shape.outputs])
        if hasBias, inputs[2].count != shape.outputs {
            throw GraphError("\(name): bias \(inputs[2]) for the \(shape.outputs) outputs of \(weight)")
        }
        if hasResidual, inputs[residualIndex].count != result.count {
            throw GraphError("\(name): residual \(inputs[residualIndex]) for \(result)")
        }
        return [result]
    }

    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard enlargement.factor == 1, !isTransposed, !hasResidual else {
            throw GraphError("\(name): a fused convolution has no gradient; take it before scheduling")
        }
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let (x, weight) = (node.inputs[0], node.inputs[1])
        let shape = shape(node.inputs.map(\.type))
        var results: [Tensor?] = node.inputs.map { _ in nil }
        if needs[0] {
            let spread = Enlargement(factor: stride, isDilated: stride > 1)
            let (top, left) = (shape.kernelHeight - 1 - padding.top, shape.kernelWidth - 1 - padding.left)
            let around = Padding(
                top: top, left: left, bottom: shape.height + shape.kernelHeight - 1 - spread(shape.outHeight) - top,
                right: shape.width + shape.kernelWidth - 1 - spread(shape.outWidth) - left)
            let operation = Convolution(
                stride: 1, padding: around, hasBias: false, enlargement: spread, isTransposed: true)
            results[0] = try graph.apply(operation, dy, weight)[0]
        }
        if needs[1] { results[1] = try graph.apply(ConvolutionWeightGradient(forward: self, weight: weight.type), x, dy)[0] }
        if hasBias, needs[2] { results[2] = try graph.columnSum(dy) }
        return results
    }

    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard consumer is Add, !hasResidual, !keepsIntermediate else { return nil }
        var fused = self
        fused.hasResidual = true
        return fused
    }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let shape = shape(context.inputs)
        if let tensor = context.tensorGEMM(for: shape) {
            return [TensorType([shape.outputs * shape.words(tensor.precision)])]
        }
        guard !context.traits.isGPUShape else { return [TensorType([shape.outputs * shape.channels * shape.taps])] }
        let tiling = Tiling(shape, stride: stride, context.traits)
        return [TensorType([tiling.panels * tiling.columns * shape.channels * shape.taps])]
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let shape = shape(context.inputs)
        if let tensor = context.tensorGEMM(for: shape) { return tensorCommands(context, shape, tensor) }
        let tiling = Tiling(shape, stride: stride, context.traits)
        let pack: [Argument] = [
            .input(1), .scratch(0), .int(shape.outputs), .int(shape.channels), .int(shape.taps), .int(tiling.depth),
            .int(isTransposed ? 1 : 0),
        ]
        let arguments =
            tensors + self.arguments(shape) + flags
            + [.int(tiling.depth), .int(tiling.stripRows), .int(tiling.stripColumns), .int(tiling.panelsPerGroup)]
        let weights = shape.outputs * shape.channels * shape.taps
        let indices = shape.indices
        let traffic = traffic(context, shape)
        guard !context.traits.isGPUShape else {
            // 8 x 8 a work-item where that leaves enough squares, else 4 x 4.
            func squares(_ per: Int) -> (Int, Int) {
                ((shape.pixels + 16 * per - 1) / (16 * per), (shape.outputs + 16 * per - 1) / (16 * per))
            }
            let large = squares(8)
            let isLarge = shape.outputs > 64 && large.0 * large.1 >= context.traits.computeUnits
            let (across, down) = isLarge ? large : squares(4)
            return [
                context.itemLaunch(
                    "convolution_pack", family: "convolution", items: weights, indices: indices, arguments: pack,
                    traffic: Traffic(bytes: 8 * weights)),
                .kernel(
                    Launch(
                        kernel: "convolution_forward", family: "convolution", defines: isLarge ? ["CONVOLUTION_PER": "8"] : [:],
                        arguments: arguments + [.local(4)], global: [across * 256, down], local: [256, 1],
                        indices: indices, traffic: traffic)),
            ]
        }
        let lanes = context.traits.lanes
        let squares = tiling.panels * tiling.vectors * ((shape.channels * shape.taps + lanes - 1) / lanes)
        guard case .kernel(var packing) = context.itemLaunch(
            "convolution_pack", family: "convolution", items: squares, size: lanes * lanes, arguments: pack,
            traffic: Traffic(bytes: 8 * weights))
        else { return [] }
        packing.defines = tiling.defines
        return [
            .kernel(packing),
            .kernel(
                Launch(
                    kernel: "convolution_forward", family: "convolution", defines: tiling.defines,
                    arguments: arguments + [.local(tiling.patchBytes)],
                    global: [tiling.strips, (tiling.panels + tiling.panelsPerGroup - 1) / tiling.panelsPerGroup, shape.batch],
                    local: [1, 1, 1], indices: indices, traffic: traffic)),
        ]
    }

    /// The forward kernels' tensors: one that is not there is another's.
    var tensors: [Argument] {
        [.input(0), .scratch(0), .input(hasBias ? 2 : 1), .input(hasResidual ? residualIndex : 0), .output(0)]
    }

    /// Whether two of them are there.
    var flags: [Argument] { [.int(hasBias ? 1 : 0), .int(hasResidual ? 1 : 0)] }

    func traffic(_ context: LaunchContext, _ shape: Shape) -> Traffic {
        let results = shape.pixels * shape.outputs * (hasResidual ? 2 : 1)
        return Traffic(bytes: 4 * (context.inputs[0].count + results + context.inputs[1].count), flops: shape.flops)
    }

    /// The kernels' arguments that describe the convolution.
    func arguments(_ shape: Shape) -> [Argument] {
        [
            shape.batch, shape.height, shape.width, shape.channels, shape.kernelHeight, shape.kernelWidth, stride, padding.top,
            padding.left, enlargement.factor, enlargement.isDilated ? 1 : 0, shape.outHeight, shape.outWidth, shape.outputs,
        ].map(Argument.int)
    }

    /// How a convolution is cut for the CPU shape.
    struct Tiling {
        /// Pixels of a tile, and its outputs in vectors and in numbers.
        let rows: Int
        let vectors: Int
        let columns: Int
        let panels: Int
        /// Channels taken at once.
        let depth: Int
        let stripRows: Int
        let stripColumns: Int
        let strips: Int
        let patchBytes: Int
        let panelsPerGroup: Int

        var defines: [String: String] {
            // What convolution_shape.cl takes without them: a CPU then needs no program beside kernels.cl.
            if rows == 8, vectors == 2 { return [:] }
            return ["CONVOLUTION_ROWS": "\(rows)", "CONVOLUTION_VECTORS": "\(vectors)"]
        }

        init(_ shape: Shape, stride: Int, _ traits: DeviceTraits) {
            let lanes = traits.lanes
            let needed = (shape.outputs + lanes - 1) / lanes
            vectors = needed == 1 || needed == 3 ? 1 : 2
            rows = Self.tileRows(shape.outWidth, lanes: lanes)
            columns = vectors * lanes
            panels = (shape.outputs + columns - 1) / columns

            // The pixels of a strip and a panel's weights for them share the second-level cache.
            let limit = min(128 << 10, traits.localMemory)
            let tile = rows
            func bytes(_ stripRows: Int, _ stripColumns: Int, _ depth: Int) -> Int {
                4 * depth * ((stripRows - 1) * stride + shape.kernelHeight) * ((stripColumns - 1) * stride + shape.kernelWidth)
            }
            var depth = min(shape.channels, 128)
            while depth > 1, bytes(1, tile, depth) > limit { depth = (depth + 1) / 2 }
            var across = max(1, min((shape.outWidth + tile - 1) / tile, 64 / tile))
            while across > 1, bytes(1, across * tile, depth) > limit { across -= 1 }
            var down = max(1, min(shape.outHeight, 64 / (across * tile)))
            while down > 1, bytes(down, across * tile, depth) > limit { down -= 1 }
            self.depth = depth
            (stripRows, stripColumns) = (down, across * tile)
            patchBytes = bytes(down, across * tile, depth)
            strips = (shape.outHeight + down - 1) / down * ((shape.outWidth + stripColumns - 1) / stripColumns)

            // Eight groups for each compute unit even out their ends; a group of fewer panels copies its pixels once more.
            let wanted = 8 * traits.computeUnits
            let groups = max(1, min(panels, wanted / max(1, strips * shape.batch)))
            panelsPerGroup = (panels + groups - 1) / groups
        }

        /// The tallest tile whose sums fit the registers, or a lower one where the last tile of a row would hang over.
        private static func tileRows(_ width: Int, lanes: Int) -> Int {
            let (tall, low) = lanes == 16 ? (12, 8) : lanes == 8 ? (6, 4) : (4, 4)
            func computed(_ rows: Int) -> Int { (width + rows - 1) / rows * rows }
            return Double(computed(low)) * 1.03 < Double(computed(tall)) ? low : tall
        }
    }
}

extension Graph {
    /// Convolution over pixels of channels: x [B, H, W, C], weight [O, C, kh, kw], bias [O] -> [B, OH, OW, O]. A single tap is
    /// a linear layer of each pixel.
    public func convolution(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Padding = Padding(0)
    ) throws -> Tensor {
        guard [padding.top, padding.left, padding.bottom, padding.right].allSatisfy({ $0 >= 0 }) else {
            throw GraphError("convolution: padding \(padding) is negative")
        }
        if weight.shape.count == 4, weight.shape[2...] == [1, 1], stride == 1, padding == Padding(0) {
            return try linear(x, weight: reshape(weight, Array(weight.shape[..<2])), bias: bias)
        }
        let operation = Convolution(stride: stride, padding: padding, hasBias: bias != nil)
        return try apply(operation, [x, weight] + (bias.map { [$0] } ?? []))[0]
    }
}
