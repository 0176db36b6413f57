/// Entropy of the attention of new rows among those that are kept. Inputs: query [B, G, H size], the cache's keys
/// [B, H_kv, capacity, size], known [n] int32, and with a rotation its table [capacity, size]. Output: [B, G].
struct CachedEntropy: Operation {
    let heads: Int
    /// Rows kept of a sequence beside those that `known` says.
    let offset: Int
    /// Places in front that are no columns.
    let buffer: Int
    let rotates: Bool

    /// ENTROPY_HEADS of the kernel.
    private static let mostHeads = 128

    var name: String { "entropy_cached" }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (query, cache, known) = (inputs[0], inputs[1], inputs[2])
        guard query.rank == 3, heads > 0, heads <= Self.mostHeads, query.columns % heads == 0, query.columns / heads <= 128 else {
            throw GraphError(
                "entropy_cached: query \(query) with \(heads) heads; [B, G, H size] of at most \(Self.mostHeads) heads of 128 columns is needed")
        }
        let size = query.columns / heads
        guard cache.rank == 4, cache.shape[0] == query.shape[0], cache.shape[1] > 0, heads % cache.shape[1] == 0, cache.shape[2] > 0,
            cache.shape[3] == size, buffer >= 0, known.element == .int32, known.count > 0, query.shape[0] % known.count == 0
        else {
            throw GraphError(
                "entropy_cached: query \(query), keys \(cache), lengths \(known) and a buffer of \(buffer); [B, H_kv, capacity, \(size)], H_kv a divisor of \(heads), and int32 for each sequence or for equal stretches of them are needed"
            )
        }
        if rotates, inputs[3] != TensorType([cache.shape[2], size]) || size % 2 != 0 {
            throw GraphError("entropy_cached: table \(inputs[3]) for keys \(cache); [capacity, size] of an even size is needed")
        }
        return [TensorType(Array(query.shape.prefix(2)))]
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let (query, cache) = (context.inputs[0], context.inputs[1])
        let (rows, size) = (query.shape[0] * query.shape[1], query.columns / heads)
        // The rows kept are known on the device alone: half of the places in the mean.
        let kept = (cache.shape[2] + 1) / 2
        return [
            context.rowLaunch(
                name, family: name, defines: ["HEAD_DIM": "\(size)", "HEAD_GROUP": "\(heads / cache.shape[1])"], rows: rows,
                arguments: [
                    .input(0), .input(1), .input(2), .input(rotates ? 3 : 0), .output(0), .int(query.shape[0]), .int(query.shape[1]),
                    .int(heads), .int(cache.shape[2]), .int(context.inputs[2].count), .int(offset), .int(buffer),
                    .int(rotates ? 1 : 0), .float(1 / Float(size).squareRoot()),
                ],
                traffic: Traffic(bytes: 4 * cache.shape[0] * cache.shape[1] * kept * size + 4 * query.count, flops: 4 * query.count * kept))
        ]
    }
}

extension Graph {
    /// Entropy [B, G] of the attention of G new rows of each of B sequences among the places from `buffer` to their own: `query`
    /// [B, G, H size] as `cachedAttention` took it, which has put their keys in the cache. The other arguments are as there. What
    /// `softmaxEntropy` gives for those rows of a whole sequence; but 1 where a row has fewer than two columns. No gradient.
    public func cachedEntropy(
        query: Tensor, heads: Int, keys: Tensor, known: Tensor, offset: Int = 0, buffer: Int, table: Tensor?
    ) throws -> Tensor {
        try apply(
            CachedEntropy(heads: heads, offset: offset, buffer: buffer, rotates: table != nil),
            [query, keys, known] + (table.map { [$0] } ?? []))[0]
    }
}
