/// Entropy of the attention among content positions, averaged over heads (Eq. 4). Input: qkv [B, K + R, 3 D] of a block with
/// the buffer mask, or with none. Outputs: entropy [B, R], and for the gradient its slope [B, R, R] and the rows' statistics [3, B, H, R].
struct SoftmaxEntropy: Operation {
    let heads: Int
    let buffer: Int
    /// Whether rows see only the content up to their own column.
    var isCausal = true

    var name: String { "softmax_entropy" }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let sizes = try AttentionLayout(isPacked: true, heads: heads).sizes(inputs, name)
        let content = sizes.queries - buffer
        guard buffer >= 0, content > 0 else {
            throw GraphError("softmax_entropy: a buffer of \(buffer) in \(inputs[0]) leaves no content")
        }
        return [
            TensorType([sizes.batch, content]), TensorType([sizes.batch, content, content]),
            TensorType([3, sizes.batch, heads, content]),
        ]
    }

    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dentropy = gradients[0] else { return [nil] }
        let gradient = SoftmaxEntropyGradient(forward: self)
        return try graph.apply(gradient, node.inputs + [dentropy] + node.outputs).map { $0 }
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let own = ownRows(context, isForward: true)
        let (batch, content) = (context.outputs[0].shape[0], context.outputs[0].shape[1])
        return [
            context.rowLaunch(
                "softmax_entropy_forward", family: name, defines: defines(context, isForward: true),
                rows: batch * ((content + own - 1) / own),
                arguments: [.input(0), .input(0), .output(0), .output(1), .output(2)] + shape(context),
                traffic: traffic(context, products: 2))
        ]
    }

    private func headDim(_ context: LaunchContext) -> Int { context.inputs[0].columns / 3 / heads }
    private func content(_ context: LaunchContext) -> Int { context.inputs[0].shape[1] - buffer }

    private func tile(_ context: LaunchContext, isForward: Bool) -> AttentionTile {
        .entropy(
            isForward: isForward, headDim: headDim(context), own: content(context), other: content(context),
            traits: context.traits)
    }

    func defines(_ context: LaunchContext, isForward: Bool) -> [String: String] {
        let defines = context.attentionDefines(headDim: headDim(context), queries: content(context))
        return context.traits.isGPUShape ? defines.merging(tile(context, isForward: isForward).defines) { $1 } : defines
    }

    func shape(_ context: LaunchContext) -> [Argument] {
        let qkv = context.inputs[0]
        let width = qkv.columns / 3
        return [
            .int(qkv.shape[0]), .int(heads), .int(buffer), .int(qkv.shape[1] - buffer),
            .int(isCausal ? 0 : qkv.shape[1] - buffer), .int(qkv.columns), .int(0),
            .int(qkv.columns), .int(width), .int(2 * width), .float(1 / Float(width / heads).squareRoot()),
        ]
    }

    /// Content rows, or in the gradient keys, of a unit.
    func ownRows(_ context: LaunchContext, isForward: Bool) -> Int {
        context.traits.isGPUShape ? tile(context, isForward: isForward).ownRows : context.queryBlock(content(context))
    }

    /// Query and key once over the bus, and the slopes; under the causal mask half the products are masked.
    func traffic(_ context: LaunchContext, products: Int) -> Traffic {
        let qkv = context.inputs[0]
        let (batch, positions, width) = (qkv.shape[0], qkv.shape[1], qkv.columns / 3)
        let content = positions - buffer
        return Traffic(
            bytes: 4 * batch * (2 * positions * width + content * content),
            flops: (isCausal ? 1 : 2) * products * batch * content * positions * width)
    }
}

/// The gradient of query and key, in the packed form of qkv; that of the value is zero. Inputs: qkv, dentropy, then the
/// outputs of the forward.
struct SoftmaxEntropyGradient: Operation {
    let forward: SoftmaxEntropy

    var name: String { "softmax_entropy_backward" }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        guard context.traits.isGPUShape else { return [] }
        return [TensorType([context.inputs[1].shape[0], forward.heads, context.inputs[1].shape[1]])]
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let qkv = context.inputs[0]
        let inputs: [Argument] = [.input(0), .input(0), .input(1), .input(2), .input(3), .input(4)]
        let defines = forward.defines(context, isForward: false)
        let shape = forward.shape(context)
        let (batch, content) = (context.inputs[1].shape[0], context.inputs[1].shape[1])
        guard context.traits.isGPUShape else {
            return [
                context.rowLaunch(
                    "softmax_entropy_backward", family: "softmax_entropy_backward", defines: defines, rows: batch * forward.heads,
                    arguments: inputs + [.output(0), .output(0)] + shape, traffic: forward.traffic(context, products: 4)),
            ]
        }
        let own = forward.ownRows(context, isForward: false)
        func rows(_ positions: Int) -> Int { batch * forward.heads * ((positions + own - 1) / own) }
        return [
            context.rowLaunch(
                "softmax_entropy_backward_query", family: "softmax_entropy_backward", defines: defines, rows: rows(content),
                arguments: inputs + [.output(0), .scratch(0)] + shape, traffic: forward.traffic(context, products: 2)),
            context.rowLaunch(
                "softmax_entropy_backward_key", family: "softmax_entropy_backward", defines: defines, rows: rows(qkv.shape[1]),
                arguments: inputs + [.scratch(0), .output(0)] + shape, traffic: forward.traffic(context, products: 2)),
        ]
    }
}

extension Graph {
    /// Per-position entropy [B, R] of the attention that `qkv` [B, K + R, 3 D] gives under the mask `bufferCausal(K)`: content
    /// rows and columns only, rows renormalised, heads averaged, entropy in units of its largest value (Eq. 4).
    public func softmaxEntropy(_ qkv: Tensor, heads: Int, buffer: Int) throws -> Tensor {
        try apply(SoftmaxEntropy(heads: heads, buffer: buffer), qkv)[0]
    }

    /// The same of attention without a mask, where every row sees all R columns: in units of log R.
    public func fullSoftmaxEntropy(_ qkv: Tensor, heads: Int, buffer: Int) throws -> Tensor {
        try apply(SoftmaxEntropy(heads: heads, buffer: buffer, isCausal: false), qkv)[0]
    }
}
