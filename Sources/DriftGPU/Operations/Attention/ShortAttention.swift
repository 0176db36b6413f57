/// Attention on a CPU over sequences so short that a head's scores stay in registers and L1: cpu_attention_short.cl and
/// cpu_attention_short_backward.cl, made for the sizes of one operation.
struct ShortAttention {
    /// Queries or keys, vectors of queries, and columns that a head may have. Beyond that a head outgrows L1 and the
    /// unrolled program takes long to build.
    private static let most = (length: 32, queryVectors: 4, headDim: 64)

    private let attention: Attention
    private let sizes: AttentionLayout.Sizes
    private let queryVectors: Int
    private var headDim: Int { sizes.width / attention.layout.heads }
    private var stride: Int { attention.layout.isPacked ? 3 * sizes.width : sizes.width }

    /// Nil where the device or the sizes ask for the form with tiles of keys.
    init?(_ attention: Attention, inputs: [TensorType], traits: DeviceTraits) {
        self.attention = attention
        sizes = attention.layout.known(inputs)
        queryVectors = (sizes.queries + traits.lanes - 1) / traits.lanes
        let lengths = 1...Self.most.length
        guard !traits.isGPUShape, lengths ~= sizes.queries, lengths ~= sizes.keys, sizes.keyBatch > 0,
            queryVectors <= Self.most.queryVectors, 1...Self.most.headDim ~= headDim, headDim.isMultiple(of: traits.lanes)
        else { return nil }
    }

    private var kvGroup: Int { sizes.batch / sizes.keyBatch }

    private var defines: [String: String] {
        [
            "HEAD_DIM": headDim, "HEADS": attention.layout.heads, "KV_SHARED": kvGroup > 1 ? 1 : 0,
            "QUERIES": sizes.queries, "KEYS": sizes.keys, "QUERY_STRIDE": stride, "KEY_STRIDE": stride,
            "QUERY_VECTORS": queryVectors, "DROPOUT": attention.dropout == nil ? 0 : 1,
        ].mapValues(String.init).merging(attention.maskDefines) { $1 }
    }

    private var shape: [Argument] {
        let step = attention.layout.isPacked ? sizes.width : 0
        return [
            .int(sizes.batch), .int(0), .int(step), .int(2 * step), .int(attention.mask.prefix(keys: sizes.keys)),
            .int(attention.mask.first), .float(1 / Float(headDim).squareRoot()), .int(kvGroup),
        ] + attention.draw(attention.layout.tensorCount)
    }

    /// Output and logsumexp.
    func forward(_ context: LaunchContext) -> Command {
        context.rowLaunch(
            "attention_short_forward", family: "cpu_attention_short", defines: defines,
            rows: sizes.batch * attention.layout.heads,
            arguments: attention.layout.tensors { .input($0) } + [.output(0), .output(1)] + shape,
            traffic: attention.traffic(sizes, queries: 2, keys: 2, products: 2))
    }

    /// Gradients of query, key and value; dout is input `first`, before out and logsumexp.
    func backward(_ context: LaunchContext, first: Int) -> Command {
        context.rowLaunch(
            "attention_short_backward", family: "cpu_attention_short_backward", defines: defines,
            rows: sizes.keyBatch * attention.layout.heads,
            arguments: attention.layout.tensors { .input($0) } + [.input(first), .input(first + 2)]
                + attention.layout.tensors { .output($0) } + shape,
            traffic: attention.traffic(sizes, queries: 3, keys: 4, products: 5))
    }
}
