/// A stretch of each order, ascending, as rows of a matrix. Input: orders [B, R] int32. Output [B count] int32.
struct Places: Operation {
    let range: Range<Int>
    let stride: Int
    let offset: Int
    let period: Int

    var name: String { "places" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .int32 else {
            throw GraphError("places: orders \(inputs[0]); [B, R] int32 is needed")
        }
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= inputs[0].columns, stride >= 0, offset >= 0, period > 0,
            period * stride + offset + inputs[0].columns <= LaunchLimits.argument
        else {
            throw GraphError("places: \(range) of orders \(inputs[0]), stride \(stride), offset \(offset), period \(period)")
        }
        return [TensorType([inputs[0].rows * range.count], .int32)]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (rows, length) = (context.inputs[0].rows, context.inputs[0].columns)
        return [
            context.itemLaunch(
                "places_sort", family: "places", items: rows * range.count, size: range.count,
                arguments: [
                    .input(0), .output(0), .int(rows), .int(length), .int(range.lowerBound), .int(range.count), .int(stride),
                    .int(offset), .int(period),
                ], traffic: Traffic(bytes: 8 * rows * range.count, flops: rows * range.count * range.count))
        ]
    }
}

extension Graph {
    /// The positions that stand at `range` in each of the B `orders` [B, R] int32, in ascending order, as rows of a matrix: for
    /// order i the positions plus (i mod `period`) `stride` + `offset`. [B count] int32. A row of an order holds different
    /// numbers, as a permutation does. `stride` 0 gives rows of a table that all orders share; `period` (B unless given) makes
    /// later orders name the rows of earlier ones. No gradient.
    public func places(
        _ orders: Tensor, _ range: Range<Int>, stride: Int, offset: Int = 0, period: Int? = nil
    ) throws -> Tensor {
        try apply(
            Places(range: range, stride: stride, offset: offset, period: period ?? max(1, orders.type.rows)), orders)[0]
    }
}
