import DriftGPU

/// Self and cross attention with every mask.
enum AttentionCases: OperationCases {
    static let families = [
        OperationFamily("attention", all),
        OperationFamily("attention_tile", tiles, isForGPUShape: true),
        OperationFamily("attention_short", short),
    ]

    /// Every case: gradients as differences where they are small, against their formulas everywhere.
    static let all = differences.map { make($0, withGradients: false) }
        + (sizes + differences).map { make($0, withGradients: true) }

    /// Cases across the tiles of the GPU shape, with their gradients.
    static let tiles = tileSizes.map { make($0, withGradients: true) }

    /// Cases of short sequences, which a CPU has kernels of their own for, with their gradients.
    static let short = shortSizes.map { make($0, withGradients: true) }

    static func mask(_ reference: AttentionReference) -> AttentionMask {
        guard let prefix = reference.prefix else { return .none }
        let mask: AttentionMask =
            reference.block > 1
            ? .groups(prefix: prefix, block: reference.block) : prefix == 0 ? .causal : .bufferCausal(prefix)
        return mask.from(reference.first)
    }

    static func name(_ size: AttentionReference) -> String {
        "\(size.batch) x \(size.queries) x \(size.keys), \(size.heads) heads of \(size.headDim), group \(size.group), "
            + "prefix \(size.prefix ?? -1)" + (size.block > 1 ? ", blocks of \(size.block)" : "")
            + (size.first > 0 ? ", from \(size.first)" : "")
    }

    /// Sizes small enough for central differences. Every head size is a program of its own in each shape: few of them.
    static let differences: [AttentionReference] = [
        .init(batch: 2, queries: 5, keys: 5, heads: 2, headDim: 12, prefix: 2),
        .init(batch: 1, queries: 9, keys: 9, heads: 1, headDim: 12, prefix: 0),
        .init(batch: 4, queries: 3, keys: 7, heads: 1, headDim: 12, group: 2),
        .init(batch: 1, queries: 8, keys: 8, heads: 1, headDim: 12, prefix: 1, block: 3),
        .init(batch: 4, queries: 3, keys: 9, heads: 1, headDim: 12, group: 2, prefix: 0, first: 5),
    ]
    /// Sizes around blocks of queries, tiles of keys and vectors of columns; the head sizes of the presets are 64 and 80.
    static let sizes: [AttentionReference] = [
        .init(batch: 3, queries: 1, keys: 1, heads: 2, headDim: 16),
        .init(batch: 4, queries: 16, keys: 16, heads: 2, headDim: 16, group: 4),
        .init(batch: 2, queries: 20, keys: 20, heads: 2, headDim: 16, prefix: 4),
        .init(batch: 2, queries: 33, keys: 33, heads: 1, headDim: 12, prefix: 0),
        .init(batch: 2, queries: 17, keys: 70, heads: 1, headDim: 64, group: 2),
        .init(batch: 1, queries: 70, keys: 70, heads: 1, headDim: 12, prefix: 66),
        .init(batch: 1, queries: 35, keys: 35, heads: 1, headDim: 80, prefix: 0),
        // Groups of images, and queries after others: within a block, at its end, and before the end of the prefix.
        .init(batch: 1, queries: 75, keys: 75, heads: 1, headDim: 12, prefix: 20, block: 3),
        .init(batch: 1, queries: 34, keys: 80, heads: 1, headDim: 12, prefix: 2, block: 3, first: 31),
        .init(batch: 2, queries: 1, keys: 40, heads: 2, headDim: 12, prefix: 0, first: 39),
        .init(batch: 1, queries: 20, keys: 64, heads: 1, headDim: 12, prefix: 33, first: 24),
    ]

    /// Sizes around the blocks and tiles of the GPU shape (AttentionTile), under every mask; head sizes of one and of several
    /// slices, whole and not.
    static let tileSizes: [AttentionReference] = [
        .init(batch: 1, queries: 15, keys: 17, heads: 2, headDim: 7),
        .init(batch: 2, queries: 17, keys: 17, heads: 1, headDim: 7, prefix: 0),
        .init(batch: 1, queries: 63, keys: 63, heads: 1, headDim: 20, prefix: 5),
        .init(batch: 4, queries: 65, keys: 15, heads: 1, headDim: 16, group: 4),
        .init(batch: 1, queries: 130, keys: 130, heads: 1, headDim: 16, prefix: 0),
        .init(batch: 1, queries: 34, keys: 65, heads: 2, headDim: 128),
        .init(batch: 1, queries: 65, keys: 65, heads: 1, headDim: 128, prefix: 0),
        .init(batch: 1, queries: 256, keys: 256, heads: 1, headDim: 64, prefix: 40),
        .init(batch: 1, queries: 130, keys: 130, heads: 1, headDim: 16, prefix: 0, block: 64),
        .init(batch: 2, queries: 66, keys: 200, heads: 1, headDim: 16, group: 2, prefix: 64, block: 64, first: 128),
        .init(batch: 1, queries: 5, keys: 150, heads: 1, headDim: 16, prefix: 3, first: 61),
    ]

    /// Heads whose scores stay in L1 on a CPU: full and ragged blocks of queries and keys, each mask, shared keys.
    static let shortSizes: [AttentionReference] = [
        .init(batch: 5, queries: 16, keys: 16, heads: 3, headDim: 32, prefix: 0),
        .init(batch: 6, queries: 7, keys: 19, heads: 2, headDim: 16, group: 3),
        .init(batch: 2, queries: 32, keys: 32, heads: 1, headDim: 64),
        .init(batch: 2, queries: 20, keys: 20, heads: 3, headDim: 16, prefix: 4),
        .init(batch: 1, queries: 32, keys: 33, heads: 1, headDim: 16),
        .init(batch: 3, queries: 20, keys: 20, heads: 3, headDim: 16, prefix: 4, block: 6),
        .init(batch: 2, queries: 3, keys: 32, heads: 2, headDim: 16, prefix: 0, first: 9),
    ]

    static func isPacked(_ size: AttentionReference) -> Bool { size.group == 1 && size.queries == size.keys }

    /// The output, and with a seed as last input the gradients, packed where the inputs are.
    static func make(_ size: AttentionReference, withGradients: Bool) -> OperationCase {
        let isPacked = isPacked(size)
        let isDifferentiable = !withGradients
        let shapes =
            isPacked
            ? [[size.batch, size.queries, 3 * size.width]]
            : [
                [size.batch, size.queries, size.width], [size.batch / size.group, size.keys, size.width],
                [size.batch / size.group, size.keys, size.width],
            ]
        let seed = withGradients ? [[size.batch, size.queries, size.width]] : []
        return OperationCase(
            name: "attention \(name(size))" + (withGradients ? "" : ", differences"),
            inputs: (shapes + seed).map { .init(shape: $0, isDifferentiable: isDifferentiable) },
            build: { graph, x in
                let out =
                    isPacked
                    ? try graph.selfAttention(x[0], heads: size.heads, mask: mask(size))
                    : try graph.crossAttention(query: x[0], key: x[1], value: x[2], heads: size.heads, mask: mask(size))
                guard withGradients, let seed = x.last else { return [out] }
                let gradients = try graph.gradients(of: [(out, seed)], withRespectTo: Array(x.dropLast()))
                return [out] + gradients.compactMap { $0 }
            },
            reference: { x in
                let points = isPacked ? AttentionReference.unpack(x[0], width: size.width) : Array(x.prefix(3))
                let (out, gradients) = size.attention(
                    points[0], points[1], points[2], dout: withGradients ? x[x.count - 1] : nil)
                guard withGradients else { return [out] }
                return [out] + (isPacked ? [AttentionReference.pack(gradients, width: size.width)] : gradients)
            },
            tolerance: 1e-5)
    }
}
