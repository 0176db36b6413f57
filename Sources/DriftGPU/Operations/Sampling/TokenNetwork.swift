/// A SimpleMLPAdaLN without its input. Inputs: x [n, w], condition [n, w], packed weights. Output [n, outputs].
struct TokenNetwork: Operation {
    let shape: TokenNetworkShape
    let temperature: Float

    var name: String { "token_network" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try shape.check(name)
        guard inputs[0].columns == shape.width, inputs[1].columns == shape.width, inputs[0].rows == inputs[1].rows, inputs[0].rows > 0,
            inputs[2].count >= shape.packedCount
        else {
            throw GraphError(
                "token_network: x \(inputs[0]), condition \(inputs[1]), weights \(inputs[2]); [n, \(shape.width)] twice and \(shape.packedCount) floats are needed")
        }
        return [TensorType([inputs[0].rows, shape.outputs])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let rows = context.inputs[0].rows
        let tile = TokenTile(rows: rows, columns: max(shape.width, shape.outputs), buffers: 4, context.traits)
        return [
            context.teamLaunch(
                "token_network_forward", family: name, defines: tile.defines, teams: tile.count(rows), indices: rows,
                arguments: [
                    .input(0), .input(1), .input(2), .output(0), .int(rows), .int(shape.width), .int(shape.depth), .int(shape.outputs),
                    .float(temperature),
                ],
                traffic: Traffic(
                    bytes: 4 * (rows * (2 * shape.width + shape.outputs) + shape.packedCount), flops: rows * shape.flops))
        ]
    }
}

/// The rows that a team of a token network takes at a time.
struct TokenTile {
    let rows: Int
    /// Columns of a buffer.
    let stride: Int

    /// A tile for `rows` rows. Each row needs `buffers` buffers of `columns` floats in local memory. The tile has at least `least` rows where
    /// they fit.
    init(rows: Int, columns: Int, buffers: Int, least: Int = 1, _ traits: DeviceTraits) {
        stride = TokenNetworkShape.padded(columns)
        // A tile's sums fill a CPU's registers; few rows are shared among its cores first.
        let sizes = traits.isGPUShape ? [4, 8] : traits.lanes == 16 ? [1, 2, 4, 8, 12] : traits.lanes == 8 ? [1, 2, 4, 6] : [1, 2, 4]
        let floats = (stride * buffers, (traits.localMemory - 4 * traits.lanes * traits.teamSize - 256) / 4)
        let fitting = sizes.filter { $0 * floats.0 <= floats.1 }
        let share = (rows + traits.computeUnits - 1) / traits.computeUnits
        self.rows = fitting.first { $0 >= max(share, least) } ?? fitting.last ?? sizes[0]
    }

    /// Tiles of so many rows.
    func count(_ rows: Int) -> Int { (rows + self.rows - 1) / self.rows }

    var defines: [String: String] { ["TOKEN_ROWS": "\(rows)", "TOKEN_STRIDE": "\(stride)"] }
}

extension Graph {
    /// MAR's SimpleMLPAdaLN behind its input layer, in one launch: x [n, w] and the condition of each row [n, w] -> [n, outputs], with
    /// the weights as `tokenWeights` packs them. LayerNorms have an epsilon of 1e-6. `temperature` multiplies the blocks' shifts. For
    /// drawings: no gradient.
    public func tokenNetwork(
        _ x: Tensor, condition: Tensor, weights: Tensor, shape: TokenNetworkShape, temperature: Float = 1
    ) throws -> Tensor {
        try apply(TokenNetwork(shape: shape, temperature: temperature), x, condition, weights)[0]
    }
}
