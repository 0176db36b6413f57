/// Sizes of a small causal transformer, as one kernel takes its rows through all blocks.
public struct CausalPassShape: Sendable, Hashable {
    /// C, values of a token.
    public var channels: Int
    /// D.
    public var width: Int
    /// Width between the layers of the MLP.
    public var hidden: Int
    public var heads: Int
    /// H_kv, a divisor of the heads.
    public var keyHeads: Int
    public var depth: Int
    /// Rows that a cache holds.
    public var capacity: Int
    public var epsilon: Float

    public init(
        channels: Int, width: Int, hidden: Int, heads: Int, keyHeads: Int, depth: Int, capacity: Int, epsilon: Float
    ) {
        (self.channels, self.width, self.hidden, self.heads, self.keyHeads) = (channels, width, hidden, heads, keyHeads)
        (self.depth, self.capacity, self.epsilon) = (depth, capacity, epsilon)
    }

    /// Whether the kernel takes it: five buffers of four rows lie in 32 KiB of local memory, which every device has, and a work-item holds a
    /// head.
    public var isSmall: Bool {
        width <= 256 && max(hidden, channels) <= 384 && heads > 0 && width % heads == 0 && size <= 64 && size % 2 == 0
    }

    /// Columns of a head.
    public var size: Int { width / max(heads, 1) }
    private var keyWidth: Int { keyHeads * size }

    /// Floats of the keys, or of the values, of a block for so many sequences; a multiple of 4, as places in storages are.
    public func span(_ sequences: Int) -> Int { (sequences * keyWidth * capacity + 3) / 4 * 4 }

    /// The keys and values of block `layer` of so many sequences in `storage`, as the kernel places them.
    public func cache(_ graph: Graph, in storage: Storage, layer: Int, sequences: Int) throws -> KeyValueCache {
        let (shape, span) = ([sequences, keyHeads, capacity, size], span(sequences))
        return try KeyValueCache(
            key: graph.stored(shape, in: storage, at: 2 * layer * span), value: graph.stored(shape, in: storage, at: (2 * layer + 1) * span))
    }

    /// Floats of the packed weights.
    var packedCount: Int {
        let (row, keys) = (TokenNetworkShape.padded(width), TokenNetworkShape.padded(keyWidth))
        let block = 2 * row + (2 * row + 2 * keys) * (width + 1) + 2 * TokenNetworkShape.padded(hidden) * (width + 1) + row * (hidden + 1)
        return row * (channels + 1) + depth * block + row + row * (width + 1)
    }

    /// Multiply-adds of a row without its attention, twice.
    var flops: Int { 2 * (channels * width + depth * width * (2 * width + 2 * keyWidth + 3 * hidden) + width * width) }
}

/// New rows of sequences through all blocks. Inputs: rows (tokens [b, R, C], or given [B, G, C or D]), known [b] int32, packed
/// weights, table [capacity, size], caches [2 depth span] (stored, written to), and the places [R, D] where there are any. Outputs
/// z [B, G, D], and the queries of a block [B, G, D] where one is shown.
struct CausalPass: Operation {
    let shape: CausalPassShape
    /// B, G and b.
    let sequences: Int
    let count: Int
    let images: Int
    /// R.
    let tokens: Int
    let offset: Int
    let source: Source
    /// How far the token that the first row draws lies behind those known.
    let ahead: Int
    /// The block whose queries are an output.
    let shown: Int?

    /// Where rows come from, as the kernel counts them.
    enum Source: Int {
        case tokens
        /// Given [B, G, C], through the layer in front.
        case inputs
        /// Given [B, G, D], behind it.
        case rows
    }

    var name: String { "causal_pass" }
    var mutatedInputs: [Int] { [4] }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let rows =
            source == .tokens
            ? TensorType([images, tokens, shape.channels])
            : TensorType([sequences, count, source == .rows ? shape.width : shape.channels])
        guard shape.isSmall, shape.keyHeads > 0, shape.heads % shape.keyHeads == 0, sequences > 0, count > 0, images > 0,
            sequences % images == 0
        else { throw GraphError("causal_pass: \(shape) for \(count) rows of \(sequences) sequences of \(images) images") }
        guard inputs[0] == rows, inputs[1] == TensorType([images], .int32), inputs[2].count == shape.packedCount,
            inputs[3] == TensorType([shape.capacity, shape.size]), inputs[4].count == 2 * shape.depth * shape.span(sequences),
            inputs.count < 6 || inputs[5].count == tokens * shape.width, (0..<shape.depth).contains(shown ?? 0)
        else {
            throw GraphError(
                "causal_pass: rows \(inputs[0]), known \(inputs[1]), weights \(inputs[2]), table \(inputs[3]), caches \(inputs[4]); \(rows), [\(images)] int32, \(shape.packedCount), [\(shape.capacity), \(shape.size)] and \(2 * shape.depth * shape.span(sequences)) are needed")
        }
        return Array(repeating: TensorType([sequences, count, shape.width]), count: shown == nil ? 1 : 2)
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let columns = max(shape.width, shape.hidden, shape.channels)
        let tile = TokenTile(rows: sequences * count, columns: columns, buffers: 5, least: count, context.traits)
        let together = max(1, tile.rows / count)
        let defines = ["HEAD_DIM": "\(shape.size)", "HEAD_GROUP": "\(shape.heads / shape.keyHeads)"]
        let rows = sequences * count
        // The rows kept are known on the device alone: half of the places in the mean.
        let attended = 2 * rows * shape.depth * shape.width * (shape.capacity + 1)
        let hasPlaces = context.inputs.count > 5
        return [
            context.teamLaunch(
                name, family: name, defines: tile.defines.merging(defines) { $1 }, teams: (sequences + together - 1) / together,
                indices: rows,
                arguments: [
                    .input(0), .input(0), .input(1), .input(2), .input(3), .input(hasPlaces ? 5 : 3), .input(4), .output(0),
                    .output(shown == nil ? 0 : 1), .int(sequences), .int(images), .int(count), .int(together), .int(tokens),
                    .int(shape.channels), .int(shape.width),
                    .int(shape.hidden), .int(shape.keyHeads), .int(shape.depth), .int(shape.capacity), .int(shape.span(sequences)),
                    .int(offset), .int(source.rawValue), .int(hasPlaces ? 1 : 0), .int(ahead), .int(shown ?? -1), .float(shape.epsilon),
                ],
                traffic: Traffic(
                    bytes: 4 * (shape.packedCount + shape.depth * shape.span(sequences) + 2 * rows * shape.width),
                    flops: rows * shape.flops + attended))
        ]
    }
}

/// The weights of a small causal transformer, as PyTorch has them.
public struct CausalPassWeights: Sendable {
    /// A linear layer; nil: without a bias.
    public struct Layer: Sendable {
        public var weight: Tensor
        public var bias: Tensor?

        public init(weight: Tensor, bias: Tensor? = nil) { (self.weight, self.bias) = (weight, bias) }
    }

    /// RMSNorm, query, key, value, output; RMSNorm, gate, up, down.
    public struct Block: Sendable {
        public var norm: Tensor
        public var attention: [Layer]
        public var secondNorm: Tensor
        public var mlp: [Layer]

        public init(norm: Tensor, attention: [Layer], secondNorm: Tensor, mlp: [Layer]) {
            (self.norm, self.attention, self.secondNorm, self.mlp) = (norm, attention, secondNorm, mlp)
        }
    }

    /// In front of the blocks and behind them.
    public var input: Layer
    public var blocks: [Block]
    public var norm: Tensor
    public var output: Layer

    public init(input: Layer, blocks: [Block], norm: Tensor, output: Layer) {
        (self.input, self.blocks, self.norm, self.output) = (input, blocks, norm, output)
    }
}

extension Graph {
    /// The weights of a causal transformer as `causalPass` takes them: once for a set of weights. [count]. No gradient.
    public func causalPassWeights(_ weights: CausalPassWeights) throws -> Tensor {
        var (tensors, layers): ([Tensor], [TokenWeights.Layer]) = ([], [])
        func add(norm: Tensor) {
            tensors.append(norm)
            layers.append(.init(bias: tensors.count - 1, rows: norm.count))
        }
        func add(_ layer: CausalPassWeights.Layer) throws {
            let rows = layer.weight.type.rows
            tensors += try [layer.weight, layer.bias ?? fill([rows], with: 0)]
            layers.append(.init(weight: tensors.count - 2, bias: tensors.count - 1, rows: rows, inputs: layer.weight.type.columns))
        }
        try add(weights.input)
        for block in weights.blocks {
            add(norm: block.norm)
            try block.attention.forEach(add)
            add(norm: block.secondNorm)
            try block.mlp.forEach(add)
        }
        add(norm: weights.norm)
        try add(weights.output)
        return try apply(TokenWeights(layers: layers), tensors)[0]
    }

    /// G = `count` new rows of each of B `sequences` through a small causal transformer, in one launch: [B, G, D] behind its last
    /// layer. Of image i known[i] `tokens` [b, R, C] are there, and known[i] + `offset` rows are kept in the `caches`; sequence j is of
    /// image j mod b. Rows are the tokens from the last one known on; or `given` ones [B, G, D] as they are; or `inputs` [B, G, C] through the
    /// layer in front. `places` [R, D]: row r is added to the row from which token r is drawn, which is token known[i] + `ahead` for the
    /// first. `weights`: as `causalPassWeights` packs them. `table` [capacity, size]: `rotaryTable`. `caches`: stored, 2 depth span
    /// floats. Beside z the queries [B, G, D] of block `shown`, before they turn. No gradient.
    public func causalPass(
        _ shape: CausalPassShape, tokens: Tensor, given: Tensor? = nil, inputs: Tensor? = nil, known: Tensor, offset: Int, count: Int, sequences: Int,
        weights: Tensor, table: Tensor, caches: Tensor, places: Tensor?, ahead: Int = 0, shown: Int? = nil
    ) throws -> (z: Tensor, queries: Tensor?) {
        let operation = CausalPass(
            shape: shape, sequences: sequences, count: count, images: tokens.shape[0], tokens: tokens.shape.dropFirst().first ?? 0,
            offset: offset, source: given != nil ? .rows : inputs != nil ? .inputs : .tokens, ahead: ahead, shown: shown)
        let outputs = try apply(operation, [given ?? inputs ?? tokens, known, weights, table, caches] + (places.map { [$0] } ?? []))
        return (outputs[0], shown == nil ? nil : outputs[1])
    }
}
