/// Attention of a single head of any width. Inputs: query [B, N, D], key and value [B, M, D]. Output: [B, N, D].
///
/// Blocks of queries: a product with all keys, softmax, a product with all values. The weights of one block are all that is
/// ever held.
struct WideAttention: Operation {
    var name: String { "attention_wide" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (query, key) = (inputs[0], inputs[1])
        guard query.rank == 3, key.rank == 3, key == inputs[2], key.columns == query.columns,
            key.shape[0] == query.shape[0]
        else { throw GraphError("\(name): query \(query), key \(key) and value \(inputs[2]) do not go together") }
        return [query]
    }

    /// Queries of a block: its weights stay in the second-level cache of a CPU, or take a few MiB of a GPU.
    private func block(_ context: LaunchContext) -> Int {
        let (query, key) = (context.inputs[0].shape, context.inputs[1].shape)
        let weights = context.traits.isGPUShape ? 1 << 20 : 1 << 16
        return min(query[1], max(48, weights / (query[0] * key[1]) / 48 * 48))
    }

    /// Both products of the block that begins at query `start`.
    private func products(_ context: LaunchContext, from start: Int) -> (scores: GEMM, result: GEMM) {
        let (query, key) = (context.inputs[0].shape, context.inputs[1].shape)
        let (batch, queries, keys, width) = (query[0], query[1], key[1], query[2])
        let rows = min(block(context), queries - start)
        func operand(_ argument: Argument, _ columns: Int, _ stride: Int) -> GEMMOperand {
            GEMMOperand(argument, leadingDimension: columns, batchStride: batch > 1 ? stride : 0)
        }
        let weights = operand(.scratch(0), keys, rows * keys)
        var scores = GEMM(
            m: rows, n: keys, k: width, a: operand(.input(0, offset: start * width), width, queries * width),
            b: operand(.input(1), width, keys * width), c: weights)
        scores.transposeB = true
        var result = GEMM(
            m: rows, n: width, k: keys, a: weights, b: operand(.input(2), width, keys * width),
            c: operand(.output(0, offset: start * width), width, queries * width))
        (scores.batch, result.batch) = (batch, batch)
        return (scores, result)
    }

    private func starts(_ context: LaunchContext) -> StrideTo<Int> {
        stride(from: 0, to: context.inputs[0].shape[1], by: block(context))
    }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let most = starts(context).flatMap { start in
            let (scores, result) = products(context, from: start)
            return [scores, result].map { context.gemm.scratchCount($0, traits: context.traits) }
        }.max() ?? 0
        let weights = TensorType([context.inputs[0].shape[0], block(context), context.inputs[1].shape[1]])
        return [weights] + (most > 0 ? [TensorType([most])] : [])
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let scale = 1 / Float(context.inputs[0].columns).squareRoot()
        return starts(context).flatMap { start -> [Command] in
            let (scores, result) = products(context, from: start)
            let rows = scores.batch * scores.m
            let softmax = context.shareLaunch(
                "attention_wide_softmax", family: "attention_wide", rows: rows, columns: scores.n,
                arguments: [.scratch(0), .int(rows), .int(scores.n), .float(scale)],
                traffic: Traffic(bytes: 8 * rows * scores.n, flops: 25 * rows * scores.n))
            return context.gemm.commands(scores, scratch: .scratch(1), traits: context.traits) + [softmax]
                + context.gemm.commands(result, scratch: .scratch(1), traits: context.traits)
        }
    }
}

extension Graph {
    /// Attention of one head over all D columns: query [B, N, D], key and value [B, M, D] -> [B, N, D]. Above 128 columns it
    /// has no gradient.
    public func singleHeadAttention(query: Tensor, key: Tensor, value: Tensor) throws -> Tensor {
        guard query.type.columns > 128 else { return try crossAttention(query: query, key: key, value: value, heads: 1) }
        return try apply(WideAttention(), query, key, value)[0]
    }
}
