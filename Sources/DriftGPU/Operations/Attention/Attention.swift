/// Which keys a query sees.
///
/// With q = first + i the position of query i: the keys below `prefix`, and where q >= prefix also those below
/// prefix + ((q - prefix) / block + 1) * block, which is its own block of positions behind the prefix and all before it.
public struct AttentionMask: Sendable, Hashable {
    /// Keys that every query sees. A number above that of the keys means all keys.
    public var prefix: Int
    /// Positions behind the prefix that see one another.
    public var block: Int
    /// Position of the first query: keys before it belong to earlier ones, whose keys and values were kept.
    public var first: Int

    public init(prefix: Int, block: Int, first: Int = 0) {
        (self.prefix, self.block, self.first) = (prefix, block, first)
    }

    /// Every key.
    public static let none = AttentionMask(prefix: .max, block: 1)
    /// Keys up to the query's own position.
    public static let causal = AttentionMask(prefix: 0, block: 1)
    /// The first `buffer` positions see one another; the others see those and the positions up to their own.
    public static func bufferCausal(_ buffer: Int) -> AttentionMask { AttentionMask(prefix: buffer, block: 1) }
    /// Groups of `block` positions behind a prefix: each sees the prefix, itself and the groups before it.
    public static func groups(prefix: Int, block: Int) -> AttentionMask { AttentionMask(prefix: prefix, block: block) }

    /// The same mask for queries of which the first stands at position `first`.
    public func from(_ first: Int) -> AttentionMask { AttentionMask(prefix: prefix, block: block, first: first) }

    /// The prefix as kernels take it.
    func prefix(keys: Int) -> Int { min(prefix, keys) }

    /// Throws where it is no mask, or has queries at positions that have no key.
    func check(_ sizes: AttentionLayout.Sizes, _ name: String) throws {
        if self == .none { return }
        // The end of the last block is a number of 32 bits, too.
        let most = LaunchLimits.argument - sizes.keys
        guard prefix >= 0, block >= 1, block <= most, first >= 0 else {
            throw GraphError(
                "\(name): mask of prefix \(prefix), block \(block), first \(first); a block is 1 to \(most), the others 0 or more")
        }
        guard first <= sizes.keys - sizes.queries else {
            throw GraphError(
                "\(name): \(sizes.queries) queries from position \(first) on with \(sizes.keys) keys; under a mask each query's position needs a key"
            )
        }
    }
}

/// How queries, keys and values lie: packed as [B, N, 3 D] in that order, or in three tensors [B, N, D], [Bk, M, D],
/// [Bk, M, D], where G = B / Bk query batches share one of keys.
struct AttentionLayout: Sendable, Hashable {
    let isPacked: Bool
    let heads: Int

    /// Sizes for the given inputs.
    struct Sizes {
        let batch: Int
        let queries: Int
        let keys: Int
        let width: Int
        let keyBatch: Int
    }

    func sizes(_ inputs: [TensorType], _ name: String) throws -> Sizes {
        let query = inputs[0]
        guard query.rank == 3 else { throw GraphError("\(name): \(query) is not [batch, positions, width]") }
        let sizes: Sizes
        if isPacked {
            guard query.columns % 3 == 0 else { throw GraphError("\(name): \(query) does not pack query, key and value") }
            sizes = Sizes(
                batch: query.shape[0], queries: query.shape[1], keys: query.shape[1], width: query.columns / 3,
                keyBatch: query.shape[0])
        } else {
            let key = inputs[1]
            guard key.rank == 3, key == inputs[2], key.columns == query.columns, key.shape[0] > 0,
                query.shape[0] % key.shape[0] == 0
            else { throw GraphError("\(name): query \(query), key \(key) and value \(inputs[2]) do not go together") }
            sizes = Sizes(
                batch: query.shape[0], queries: query.shape[1], keys: key.shape[1], width: query.columns,
                keyBatch: key.shape[0])
        }
        guard heads > 0, sizes.width % heads == 0, sizes.width / heads <= 128 else {
            throw GraphError("\(name): width \(sizes.width) with \(heads) heads; heads must divide it, at most 128 columns a head")
        }
        return sizes
    }

    /// Sizes of inputs that `sizes` has accepted.
    func known(_ inputs: [TensorType]) -> Sizes {
        let query = inputs[0]
        return isPacked
            ? Sizes(
                batch: query.shape[0], queries: query.shape[1], keys: query.shape[1], width: query.columns / 3,
                keyBatch: query.shape[0])
            : Sizes(
                batch: query.shape[0], queries: query.shape[1], keys: inputs[1].shape[1], width: query.columns,
                keyBatch: inputs[1].shape[0])
    }

    /// Strides and columns of query, key and value.
    func columns(_ sizes: Sizes) -> [Argument] {
        let stride = isPacked ? 3 * sizes.width : sizes.width
        let step = isPacked ? sizes.width : 0
        return [.int(stride), .int(0), .int(stride), .int(step), .int(stride), .int(2 * step)]
    }

    var tensorCount: Int { isPacked ? 1 : 3 }

    /// Query, key and value among tensors that begin with `make(0)`.
    func tensors(_ make: (Int) -> Argument) -> [Argument] {
        isPacked ? [make(0), make(0), make(0)] : [make(0), make(1), make(2)]
    }
}

extension LaunchContext {
    /// Vectors of queries that a work-item of the CPU shape owns: one where a second would be empty.
    private func queryVectors(_ queries: Int) -> Int { queries <= traits.lanes ? 1 : 2 }

    /// Queries that a work-item of the CPU shape owns: QUERY_BLOCK of cpu_attention_lanes.cl.
    func queryBlock(_ queries: Int) -> Int { queryVectors(queries) * traits.lanes }

    func attentionDefines(headDim: Int, queries: Int) -> [String: String] {
        var defines = ["HEAD_DIM": "\(headDim)"]
        if !traits.isGPUShape { defines["QUERY_VECTORS"] = "\(queryVectors(queries))" }
        return defines
    }
}

/// Fused attention. Inputs: qkv, or query, key, value; then the clock when weights are dropped. Outputs: [B, N, D], and the
/// logarithm of each row's sum of exponentials [B, H, N].
struct Attention: Operation {
    let layout: AttentionLayout
    let mask: AttentionMask
    let dropout: DropoutDraw?

    var name: String { "attention" }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let sizes = try layout.sizes(inputs, name)
        try mask.check(sizes, name)
        return [
            TensorType([sizes.batch, sizes.queries, sizes.width]),
            TensorType([sizes.batch, layout.heads, sizes.queries]),
        ]
    }

    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dout = gradients[0] else { return needs.map { _ in nil } }
        let backward = AttentionGradient(forward: self)
        let result = try graph.apply(backward, node.inputs + [dout, node.outputs[0], node.outputs[1]])
        return result.map { $0 } + (dropout == nil ? [] : [nil])
    }

    func commands(_ context: LaunchContext) -> [Command] {
        if let short = ShortAttention(self, inputs: context.inputs, traits: context.traits) { return [short.forward(context)] }
        let sizes = layout.known(context.inputs)
        let arguments =
            layout.tensors { .input($0) } + [.output(0), .output(1)] + shape(sizes) + draw(layout.tensorCount)
        let traffic = traffic(sizes, queries: 2, keys: 2, products: 2)
        guard context.traits.isGPUShape else {
            let own = ownRows(context)
            return [
                context.rowLaunch(
                    "attention_forward", family: "attention", defines: defines(context),
                    rows: sizes.batch * layout.heads * ((sizes.queries + own - 1) / own), arguments: arguments,
                    traffic: traffic)
            ]
        }
        return [
            groupLaunch(
                context, .forward, batch: sizes.batch, own: sizes.queries, other: sizes.keys, arguments: arguments,
                traffic: traffic)
        ]
    }

    func defines(_ context: LaunchContext) -> [String: String] {
        let sizes = layout.known(context.inputs)
        var defines = context.attentionDefines(headDim: sizes.width / layout.heads, queries: sizes.queries)
        defines["DROPOUT"] = dropout == nil ? "0" : "1"
        return defines.merging(maskDefines) { $1 }
    }

    /// A kernel of the GPU shape: a group for each block of `own` rows of each head of `batch`. Not fewer groups that walk
    /// several blocks: under a mask blocks differ in length, and the device deals groups out as they finish. Where products of
    /// this attention are done on tensor cores, all of its kernels are theirs; arguments are the same.
    func groupLaunch(
        _ context: LaunchContext, _ kernel: AttentionTile.Kernel, batch: Int, own: Int, other: Int, arguments: [Argument],
        traffic: Traffic
    ) -> Command {
        let headDim = layout.known(context.inputs).width / layout.heads
        func groups(_ rows: Int) -> Int { batch * layout.heads * ((own + rows - 1) / rows) }
        if let tensor = tensorGEMM(context) {
            let tile = AttentionTensorTile(headDim: headDim, own: own)
            return .kernel(
                Launch(
                    kernel: "attention_mma_\(kernel.rawValue)", family: "gpu_attention_mma\(kernel.familySuffix)",
                    defines: tensorDefines(tile, tensor), arguments: arguments, global: [groups(tile.rows) * tile.items],
                    local: [tile.items], traffic: traffic))
        }
        let tile = AttentionTile(
            kernel, headDim: headDim, own: own, other: other, traits: context.traits)
        return context.teamLaunch(
            "attention_\(kernel.rawValue)", family: "attention\(kernel.familySuffix)",
            defines: defines(context).merging(tile.defines) { $1 }, teams: groups(tile.ownRows), arguments: arguments,
            traffic: traffic)
    }

    func shape(_ sizes: AttentionLayout.Sizes) -> [Argument] {
        [.int(sizes.batch), .int(layout.heads), .int(sizes.queries), .int(sizes.keys)] + layout.columns(sizes) + [
            .int(sizes.batch / sizes.keyBatch), .int(mask.prefix(keys: sizes.keys)), .int(mask.first),
            .float(1 / Float(sizes.width / layout.heads).squareRoot()),
        ]
    }

    func draw(_ clock: Int) -> [Argument] {
        dropout.map { [.input(clock), .int($0.stream), .float($0.probability)] } ?? []
    }

    /// The mask's block, for programs that need to know it.
    var maskDefines: [String: String] { mask.block == 1 ? [:] : ["MASK_BLOCK": "\(mask.block)"] }

    func ownRows(_ context: LaunchContext) -> Int {
        context.queryBlock(layout.known(context.inputs).queries)
    }

    /// Each tensor once over the bus, `queries` of the query's size and `keys` of the key's; `products` multiply-adds for each query, key and
    /// column, half of them when masked.
    func traffic(_ sizes: AttentionLayout.Sizes, queries: Int, keys: Int, products: Int) -> Traffic {
        let flops = 2 * products * sizes.batch * sizes.queries * sizes.keys * sizes.width
        let rows = queries * sizes.batch * sizes.queries + keys * sizes.keyBatch * sizes.keys
        return Traffic(bytes: 4 * rows * sizes.width, flops: mask == .none ? flops : flops / 2)
    }
}

/// Gradients of query, key and value, packed as these are. Inputs: those of the forward, then dout, out, logsumexp.
struct AttentionGradient: Operation {
    let forward: Attention

    var name: String { "attention_backward" }
    private var layout: AttentionLayout { forward.layout }
    private var first: Int { layout.tensorCount + (forward.dropout == nil ? 0 : 1) }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { Array(inputs.prefix(layout.tensorCount)) }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        // delta of each row, handed from the first launch to the second.
        context.traits.isGPUShape ? [context.inputs[first + 2]] : []
    }

    func commands(_ context: LaunchContext) -> [Command] {
        if let short = ShortAttention(forward, inputs: context.inputs, traits: context.traits) {
            return [short.backward(context, first: first)]
        }
        let sizes = layout.known(context.inputs)
        let inputs = layout.tensors { .input($0) }
        let outputs = layout.tensors { .output($0) }
        let (dout, out, logsumexp): (Argument, Argument, Argument) = (.input(first), .input(first + 1), .input(first + 2))
        let tail = forward.shape(sizes) + forward.draw(layout.tensorCount)
        guard context.traits.isGPUShape else {
            return [
                context.rowLaunch(
                    "attention_backward", family: "attention_backward", defines: forward.defines(context),
                    rows: sizes.keyBatch * layout.heads,
                    arguments: inputs + [dout, out, logsumexp] + outputs + tail,
                    traffic: forward.traffic(sizes, queries: 4, keys: 4, products: 5))
            ]
        }
        return [
            forward.groupLaunch(
                context, .backwardQuery, batch: sizes.batch, own: sizes.queries, other: sizes.keys,
                arguments: inputs + [dout, out, logsumexp, outputs[0], .scratch(0)] + tail,
                traffic: forward.traffic(sizes, queries: 4, keys: 2, products: 3)),
            forward.groupLaunch(
                context, .backwardKey, batch: sizes.keyBatch, own: sizes.keys, other: sizes.queries,
                arguments: inputs + [dout, logsumexp, .scratch(0), outputs[1], outputs[2]] + tail,
                traffic: forward.traffic(sizes, queries: 2, keys: 4, products: 4)),
        ]
    }
}

extension Graph {
    private func attention(
        _ inputs: [Tensor], layout: AttentionLayout, mask: AttentionMask, dropout: Dropout?
    ) throws -> Tensor {
        var inputs = inputs
        let draw = try dropoutDraw(dropout, "attention")
        if let dropout, draw != nil { inputs.append(dropout.clock) }
        return try apply(Attention(layout: layout, mask: mask, dropout: draw), inputs)[0]
    }

    /// Self-attention: packed query, key and value [B, N, 3 D] -> [B, N, D].
    public func selfAttention(
        _ qkv: Tensor, heads: Int, mask: AttentionMask = .none, dropout: Dropout? = nil
    ) throws -> Tensor {
        try attention([qkv], layout: AttentionLayout(isPacked: true, heads: heads), mask: mask, dropout: dropout)
    }

    /// Attention of query [B, N, D] to key and value [Bk, M, D] -> [B, N, D]. B / Bk query batches in a row share the keys
    /// of one: key batch = query batch / (B / Bk). Under a mask, queries at the positions from `mask.first` on.
    public func crossAttention(
        query: Tensor, key: Tensor, value: Tensor, heads: Int, mask: AttentionMask = .none, dropout: Dropout? = nil
    ) throws -> Tensor {
        try attention(
            [query, key, value], layout: AttentionLayout(isPacked: false, heads: heads), mask: mask, dropout: dropout)
    }
}
