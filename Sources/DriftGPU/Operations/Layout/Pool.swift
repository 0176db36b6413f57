/// The largest or the mean value of each square window of pixels. Input: x [B, H, W, C]; output: [B, OH, OW, C].
struct Pool: Operation {
    enum Kind: String, Sendable { case maximum, mean }

    let kind: Kind
    let window: Int
    let stride: Int
    let padding: Int

    var name: String { "pool" }

    private func extent(_ extent: Int) -> Int { (extent + 2 * padding - window) / stride + 1 }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let x = inputs[0]
        // With no more padding than half a window every window has a pixel.
        guard x.rank == 4, window > 0, stride > 0, (0...(window / 2)).contains(padding),
            min(x.shape[1], x.shape[2]) + 2 * padding >= window
        else {
            throw GraphError("pool: \(x) in windows of \(window), stride \(stride), padding \(padding); [B, H, W, C] of a window or more is needed")
        }
        return [TensorType([x.shape[0], extent(x.shape[1]), extent(x.shape[2]), x.columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, y) = (context.inputs[0], context.outputs[0])
        return [
            context.shareLaunch(
                "pool_forward", family: name, rows: y.rows, columns: y.columns,
                arguments: [.input(0), .output(0)]
                    + (x.shape + [window, stride, padding, y.shape[1], y.shape[2], kind == .maximum ? 1 : 0]).map(Argument.int),
                traffic: Traffic(bytes: 4 * (x.count + y.count), flops: y.count * window * window))
        ]
    }
}

extension Graph {
    /// The largest value of each window of pixels: x [B, H, W, C] -> [B, OH, OW, C]. Without a gradient.
    public func maxPool(_ x: Tensor, window: Int, stride: Int, padding: Int = 0) throws -> Tensor {
        try apply(Pool(kind: .maximum, window: window, stride: stride, padding: padding), x)[0]
    }

    /// The mean of the pixels of each window, padding not counted. Without a gradient.
    public func meanPool(_ x: Tensor, window: Int, stride: Int, padding: Int = 0) throws -> Tensor {
        try apply(Pool(kind: .mean, window: window, stride: stride, padding: padding), x)[0]
    }
}
