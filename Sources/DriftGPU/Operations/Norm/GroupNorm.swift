/// Normalisation over all pixels and the consecutive channels of a group. Inputs: x [B, ..., C], weight, bias [C]. Outputs:
/// y, its SiLU where asked for, and mean and rstd of each channel's group [B, C], which the gradient reads.
struct GroupNorm: Operation {
    let groups: Int
    let epsilon: Float
    var silu = false

    var name: String { silu ? "group_norm_silu" : "group_norm" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let x = inputs[0]
        guard x.rank >= 2, groups > 0, x.columns.isMultiple(of: groups), inputs[1].shape == [x.columns],
            inputs[2].shape == [x.columns]
        else {
            throw GraphError(
                "\(name): weight \(inputs[1]) and bias \(inputs[2]) for \(x) in \(groups) groups; [B, ..., C] with C a multiple of the groups is needed")
        }
        guard epsilon >= 0 else { throw GraphError("\(name): epsilon \(epsilon) is negative") }
        return [x, TensorType([x.shape[0], x.columns]), TensorType([x.shape[0], x.columns])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard !silu, gradients[1] == nil, gradients[2] == nil else {
            throw GraphError("\(name): mean, rstd and a fused activation carry no gradient")
        }
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let operation = GroupNormGradient(groups: groups, hasParameters: needs.dropFirst().contains(true))
        let results = try graph.apply(
            operation, dy, node.inputs[0], node.outputs[1], node.outputs[2], node.inputs[1])
        return operation.hasParameters ? results.map { $0 } : [results[0], nil, nil]
    }
    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard let activate = consumer as? Activate, activate.function == .silu, !silu, !keepsIntermediate else { return nil }
        return GroupNorm(groups: groups, epsilon: epsilon, silu: true)
    }
    func scratch(_ context: LaunchContext) -> [TensorType] { [GroupNormChunks(context, context.inputs[0]).partial] }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[0]
        let chunks = GroupNormChunks(context, x)
        return [
            chunks.partialLaunch(
                "group_norm_partial", arguments: [.input(0), .scratch(0)],
                traffic: Traffic(bytes: 4 * x.count, flops: 4 * x.count)),
            context.rowLaunch(
                "group_norm_statistics", family: "group_norm", rows: chunks.batch * groups,
                indices: chunks.perImage * chunks.channels, arguments: [.scratch(0), .output(1), .output(2)] + chunks.extents
                    + [.int(groups), .int(chunks.chunk), .float(epsilon)],
                traffic: Traffic(bytes: 4 * chunks.partial.count, flops: 4 * chunks.partial.count)),
            chunks.elementLaunch(
                "group_norm_forward",
                arguments: [.input(0), .output(1), .output(2), .input(1), .input(2), .output(0)] + chunks.extents
                    + [.int(silu ? 1 : 0)], traffic: Traffic(bytes: 8 * x.count, flops: (silu ? 25 : 3) * x.count)),
        ]
    }
}

/// Gradients of GroupNorm. Inputs: dy, x, mean, rstd, weight. Outputs: dx; with parameters, dweight and dbias.
struct GroupNormGradient: Operation {
    let groups: Int
    let hasParameters: Bool

    var name: String { "group_norm_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        [inputs[1]] + (hasParameters ? [inputs[4], inputs[4]] : [])
    }
    func scratch(_ context: LaunchContext) -> [TensorType] {
        let chunks = GroupNormChunks(context, context.inputs[1])
        return [chunks.partial, TensorType([chunks.batch, 2, chunks.channels])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let x = context.inputs[1]
        let chunks = GroupNormChunks(context, x)
        let read = 4 * chunks.partial.count
        var commands = [
            chunks.partialLaunch(
                "group_norm_backward_partial", arguments: [.input(0), .input(1), .input(2), .input(3), .scratch(0)],
                traffic: Traffic(bytes: 8 * x.count, flops: 5 * x.count)),
            context.rowLaunch(
                "group_norm_backward_statistics", family: "group_norm", rows: chunks.batch * groups,
                indices: chunks.perImage * chunks.channels, arguments: [.scratch(0), .input(4), .scratch(1)] + chunks.extents + [.int(groups), .int(chunks.chunk)],
                traffic: Traffic(bytes: read, flops: chunks.partial.count)),
        ]
        if hasParameters {
            let nothing: [Argument] = [.input(4), .input(4), .input(4)]
            commands.append(
                context.rowLaunch(
                    "layer_norm_backward_parameters", family: "layer_norm", rows: context.columnTiles(chunks.channels),
                    arguments: [.scratch(0)] + nothing + [.output(1), .output(2), .output(1), .output(2), .int(chunks.channels)]
                        + [.int(0), .int(chunks.batch * chunks.perImage), .int(1), .int(0), .int(0), .int(0)],
                    traffic: Traffic(bytes: read, flops: chunks.partial.count)))
        }
        commands.append(
            chunks.elementLaunch(
                "group_norm_backward",
                arguments: [.input(0), .input(1), .input(2), .input(3), .input(4), .scratch(1), .output(0)] + chunks.extents,
                traffic: Traffic(bytes: 12 * x.count, flops: 7 * x.count)))
        return commands
    }
}

/// How sums over the pixels of each image are divided. It depends on the shapes and the team shape alone, so two devices of
/// one team shape add in the same order.
private struct GroupNormChunks {
    let batch: Int
    let pixels: Int
    let channels: Int
    /// Pixels of a chunk; the last of an image may have fewer.
    let chunk: Int
    private let context: LaunchContext

    init(_ context: LaunchContext, _ x: TensorType) {
        self.context = context
        batch = x.shape[0]
        channels = x.columns
        pixels = x.count / (batch * channels)
        // Short enough for sums in single precision, and enough of them to keep the device busy.
        let parts = max(1, context.sumParts / batch)
        chunk = min(pixels, max((pixels + parts - 1) / parts, context.traits.isGPUShape ? 32 : 16))
    }

    var perImage: Int { (pixels + chunk - 1) / chunk }
    /// Two sums of each channel of each chunk.
    var partial: TensorType { TensorType([batch, perImage, 2, channels]) }
    var extents: [Argument] { [.int(batch), .int(pixels), .int(channels)] }

    /// A kernel that sums over the chunks' pixels.
    func partialLaunch(_ kernel: String, arguments: [Argument], traffic: Traffic) -> Command {
        context.rowLaunch(
            kernel, family: "group_norm", rows: batch * perImage * context.columnTiles(channels), indices: batch * pixels,
            arguments: arguments + extents + [.int(chunk)], traffic: traffic)
    }

    /// A kernel that walks all pixels.
    func elementLaunch(_ kernel: String, arguments: [Argument], traffic: Traffic) -> Command {
        context.runLaunch(
            kernel, family: "group_norm", rows: batch * pixels, width: channels, indices: batch * pixels, arguments: arguments,
            traffic: traffic)
    }
}

extension Graph {
    /// GroupNorm of images of channels, x [B, ..., C]: over everything between the first and the last axis and the
    /// C / groups consecutive channels of each group.
    public func groupNorm(_ x: Tensor, weight: Tensor, bias: Tensor, groups: Int, epsilon: Float) throws -> Tensor {
        try apply(GroupNorm(groups: groups, epsilon: epsilon), x, weight, bias)[0]
    }
}
