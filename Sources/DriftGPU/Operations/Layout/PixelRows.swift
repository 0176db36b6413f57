/// y[i] = x[rows[i]] / 127.5 - 1, zeros where there is no such row. Inputs: x [N, D] uint8, rows [n] int32.
struct PixelRows: Operation {
    var name: String { "pixel_rows" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .uint8, inputs[1].rank == 1, inputs[1].element == .int32 else {
            throw GraphError("pixel_rows: x \(inputs[0]) by rows \(inputs[1]); x [N, D] uint8 and rows [n] int32 are needed")
        }
        return [TensorType([inputs[1].count, inputs[0].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (count, width) = (context.inputs[1].count, context.inputs[0].columns)
        return [
            context.runLaunch(
                "pixel_rows_forward", family: "pixel_rows", rows: count, width: width,
                arguments: [.input(0), .input(1), .output(0), .int(count), .int(context.inputs[0].rows), .int(width)],
                traffic: Traffic(bytes: 5 * count * width))
        ]
    }
}

extension Graph {
    /// Pixels in [-1, 1], [n, D], of the images of `bytes` [N, D] (uint8, v standing for v / 127.5 - 1) that `rows` [n] (int32)
    /// names; zeros where there is no such image. Has no gradient.
    public func pixelRows(_ bytes: Tensor, _ rows: Tensor) throws -> Tensor { try apply(PixelRows(), bytes, rows)[0] }
}
