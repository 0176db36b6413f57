/// The beginnings of orders, sorted by a key of each position. Inputs: orders [B, R] int32, keys [K, R]. Output [B, R] int32.
struct SortOrders: Operation {
    /// Places of each order that are sorted, the first ones.
    let count: Int
    /// Order i has the keys i mod period.
    let period: Int

    var name: String { "sort_orders" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .int32, inputs[1].rank == 2, inputs[1].element == .float32,
            inputs[1].columns == inputs[0].columns, count > 0, count <= inputs[0].columns, period > 0, period <= inputs[1].rows
        else {
            throw GraphError(
                "sort_orders: \(count) places of orders \(inputs[0]) by keys \(inputs[1]), period \(period); [B, R] int32 and [K, R] are needed")
        }
        return [inputs[0]]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (rows, length) = (context.inputs[0].rows, context.inputs[0].columns)
        return [
            context.itemLaunch(
                "sort_orders_rank", family: "sort_orders", items: rows * length, size: count,
                arguments: [.input(0), .input(1), .output(0), .int(rows), .int(length), .int(count), .int(period)],
                traffic: Traffic(bytes: 4 * length * (2 * rows + min(rows, period)), flops: rows * count * count))
        ]
    }
}

extension Graph {
    /// `orders` [B, R] int32 with the first `count` places of each sorted by a key of the position that stands there, the largest
    /// first, NaN as if infinite; places of one key keep their order, and those behind stay. `keys` [K, R]: order i has row i mod
    /// `period` (K unless given). The numbers of an order are 0 ..< R. [B, R] int32. No gradient.
    public func sortOrders(_ orders: Tensor, count: Int, by keys: Tensor, period: Int? = nil) throws -> Tensor {
        try apply(SortOrders(count: count, period: period ?? max(1, keys.type.rows)), orders, keys)[0]
    }
}
