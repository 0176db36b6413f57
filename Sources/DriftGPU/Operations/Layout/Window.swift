/// Rows of sequences from a place on that the device says. Inputs: known [n] int32, and x [images, R, W] where its rows are taken;
/// else their numbers are.
struct Window: Operation {
    let sequences: Int
    /// G.
    let count: Int
    let offset: Int
    /// R and images where there is no x.
    let length: Int
    let images: Int

    var name: String { "window" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let known = inputs[0]
        guard known.element == .int32, known.count > 0, sequences % known.count == 0, count > 0, length > 0, images > 0,
            sequences % images == 0
        else {
            throw GraphError(
                "window: \(count) rows of each of \(sequences) sequences from places \(known) of \(images) x \(length); int32, one for each or for equal stretches of them"
            )
        }
        guard inputs.count == 2 else { return [TensorType([sequences * count], .int32)] }
        guard inputs[1].rank == 3, inputs[1].element == .float32 else {
            throw GraphError("window: x \(inputs[1]); [images, R, W] is needed")
        }
        return [TensorType([sequences, count, inputs[1].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let rows = sequences * count
        let shape: [Argument] = [
            .int(rows), .int(count), .int(length), .int(images), .int(context.inputs[0].count), .int(offset),
        ]
        guard context.inputs.count == 2 else {
            return [
                context.itemLaunch(
                    "window_rows", family: name, items: rows, arguments: [.input(0), .output(0)] + shape,
                    traffic: Traffic(bytes: 4 * rows))
            ]
        }
        let width = context.inputs[1].columns
        return [
            context.runLaunch(
                "window_take", family: name, rows: rows, width: width,
                arguments: [.input(1), .input(0), .output(0)] + shape + [.int(width)], traffic: Traffic(bytes: 8 * rows * width))
        ]
    }
}

/// Rows put into sequences from a place on that the device says. Inputs: x [B, R, W] (stored, written to), known [n] int32, rows
/// [B, G, W].
struct WindowPut: Operation {
    let offset: Int

    var name: String { "window" }
    var mutatedInputs: [Int] { [0] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, known, rows) = (inputs[0], inputs[1], inputs[2])
        guard x.rank == 3, rows.rank == 3, x.element == .float32, rows.element == .float32, rows.shape[0] == x.shape[0],
            rows.columns == x.columns, known.element == .int32, known.count > 0, x.shape[0] % known.count == 0
        else {
            throw GraphError("window: rows \(rows) into \(x) from places \(known); [B, G, W] into [B, R, W] from int32, one for each or for equal stretches of them")
        }
        return []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, rows) = (context.inputs[0], context.inputs[2])
        return [
            context.runLaunch(
                "window_put", family: name, rows: rows.rows, width: rows.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .int(rows.rows), .int(rows.shape[1]), .int(x.shape[1]),
                    .int(context.inputs[1].count), .int(offset), .int(rows.columns),
                ], traffic: Traffic(bytes: 8 * rows.count))
        ]
    }
}

extension Graph {
    /// Puts `rows` [B, G, W] into `x` [B, R, W], stored, from row known[b mod n] + `offset` of each sequence on; those past either end
    /// nowhere. `known` [n] int32. No gradient.
    public func putWindow(_ rows: Tensor, into x: Tensor, from known: Tensor, offset: Int = 0) throws {
        _ = try apply(WindowPut(offset: offset), x, known, rows)
    }

    /// Rows known[b mod n] + `offset` and the `count` - 1 behind it of x[b mod images], for each of B `sequences`: `x` [images, R, W],
    /// `known` [n] int32 -> [B, count, W], zeros where there is no such row. No gradient.
    public func window(_ x: Tensor, from known: Tensor, offset: Int = 0, count: Int, sequences: Int) throws -> Tensor {
        guard x.type.rank == 3 else { throw GraphError("window: x \(x.type); [images, R, W] is needed") }
        return try apply(
            Window(sequences: sequences, count: count, offset: offset, length: x.shape[1], images: x.shape[0]), known, x)[0]
    }

    /// The numbers of these rows among those of [images, `length`]: [B count] int32, -1 where there is no such row.
    public func windowRows(
        from known: Tensor, offset: Int = 0, count: Int, sequences: Int, length: Int, images: Int
    ) throws -> Tensor {
        try apply(Window(sequences: sequences, count: count, offset: offset, length: length, images: images), known)[0]
    }
}
