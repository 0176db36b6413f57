/// Keys and values of the rows of sequences that an attention has seen, on the device.
public struct KeyValueCache: Sendable {
    /// [B, H_kv, capacity, size] each.
    public let key: Tensor
    public let value: Tensor

    public init(key: Tensor, value: Tensor) { (self.key, self.value) = (key, value) }
}

/// Attention of new rows and those that are kept; the new ones are kept, too. Inputs: query [B, G, H size], key, value
/// [B, G, H_kv size], known [n] int32, the two caches (stored, written to), and with a rotation its table [capacity, size].
struct CachedAttention: Operation {
    let heads: Int
    /// Rows kept of a sequence beside those that `known` says.
    let offset: Int
    let rotates: Bool

    var name: String { "attention_cached" }
    var mutatedInputs: [Int] { [4, 5] }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (query, key, known, cache) = (inputs[0], inputs[1], inputs[3], inputs[4])
        guard query.rank == 3, key.rank == 3, key == inputs[2], Array(key.shape.prefix(2)) == Array(query.shape.prefix(2)) else {
            throw GraphError("attention_cached: query \(query), key \(key) and value \(inputs[2]); [B, G, *] of one B and G are needed")
        }
        guard heads > 0, query.columns % heads == 0, query.columns / heads <= 128 else {
            throw GraphError("attention_cached: width \(query.columns) with \(heads) heads; heads must divide it, at most 128 columns a head")
        }
        let size = query.columns / heads
        guard cache.rank == 4, cache == inputs[5], cache.shape[0] == key.shape[0], cache.shape[1] * size == key.columns,
            cache.shape[3] == size, cache.shape[1] > 0, heads % cache.shape[1] == 0, cache.shape[2] > 0
        else {
            throw GraphError(
                "attention_cached: caches \(cache) and \(inputs[5]) for query \(query) of \(heads) heads and key \(key); [B, H_kv, capacity, size] are needed, H_kv a divisor of the heads"
            )
        }
        guard known.element == .int32, known.count > 0, query.shape[0] % known.count == 0 else {
            throw GraphError("attention_cached: lengths \(known) for \(query.shape[0]) sequences; int32, one for each or for equal stretches of them")
        }
        if rotates, inputs[6] != TensorType([cache.shape[2], size]) || size % 2 != 0 {
            throw GraphError("attention_cached: table \(inputs[6]) for caches \(cache); [capacity, size] of an even size is needed")
        }
        return [query]
    }

    private func splits(_ context: LaunchContext) -> Int {
        guard context.traits.isGPUShape else { return 1 }
        // A stretch of a team's size at least, and no more teams than keep the device busy.
        let cache = context.inputs[4]
        let most = (cache.shape[2] + context.traits.teamSize - 1) / context.traits.teamSize
        return max(1, min(most, context.traits.teams / max(1, cache.shape[0] * cache.shape[1])))
    }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let (splits, query) = (splits(context), context.inputs[0])
        return splits == 1 ? [] : [TensorType([query.rows * heads * splits, query.columns / heads + 2])]
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let (query, cache, splits) = (context.inputs[0], context.inputs[4], splits(context))
        let (batch, rows, size) = (query.shape[0], query.shape[1], query.columns / heads)
        let defines = ["HEAD_DIM": "\(size)", "HEAD_GROUP": "\(heads / cache.shape[1])"]
        let partial: Argument = splits == 1 ? .output(0) : .scratch(0)
        // The rows kept are known on the device alone: half of the places in the mean.
        let kept = (cache.shape[2] + 1) / 2
        let first = context.teamLaunch(
            "attention_cached_forward", family: name, defines: defines,
            teams: context.traits.isGPUShape
                ? batch * cache.shape[1] * splits : max(1, min(batch * cache.shape[1], context.traits.teams)),
            indices: batch * cache.shape[1] * splits,
            arguments: [
                .input(0), .input(1), .input(2), .input(3), .input(4), .input(5), .input(rotates ? 6 : 0), .output(0), partial,
                .int(batch), .int(rows), .int(cache.shape[1]), .int(cache.shape[2]), .int(context.inputs[3].count), .int(offset),
                .int(rotates ? 1 : 0), .int(splits), .float(1 / Float(size).squareRoot()),
            ],
            traffic: Traffic(
                bytes: 8 * batch * cache.shape[1] * kept * size + 8 * query.count, flops: 4 * query.count * kept))
        guard splits > 1 else { return [first] }
        return [
            first,
            context.rowLaunch(
                "attention_cached_combine", family: name, defines: defines, rows: query.rows * heads,
                arguments: [.scratch(0), .output(0), .int(query.rows * heads), .int(splits)],
                traffic: Traffic(bytes: 4 * query.count * (splits + 1))),
        ]
    }
}

extension Graph {
    /// Causal attention of G new rows of each of B sequences: `query` [B, G, H size], `key` and `value` [B, G, H_kv size], whose
    /// H_kv heads H / H_kv query heads share each. known[b mod n] + `offset` rows of a sequence are in `cache`, `known` [n] int32;
    /// the new ones stand behind them and are kept there. `table` [capacity, size]: turns queries and keys by the angles of their
    /// positions (`rotary`). Rows past the capacity are not kept. No gradient.
    public func cachedAttention(
        query: Tensor, key: Tensor, value: Tensor, heads: Int, cache: KeyValueCache, known: Tensor, offset: Int = 0, table: Tensor?
    ) throws -> Tensor {
        try apply(
            CachedAttention(heads: heads, offset: offset, rotates: table != nil),
            [query, key, value, known, cache.key, cache.value] + (table.map { [$0] } ?? []))[0]
    }
}
