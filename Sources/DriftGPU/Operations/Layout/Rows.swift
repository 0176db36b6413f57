/// y[i] = x[rows[i]], zeros where there is no such row. Inputs: x [N, D], rows [n] int32.
struct GatherRows: Operation {
    var name: String { "gather_rows" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .float32, inputs[1].rank == 1, inputs[1].element == .int32 else {
            throw GraphError("gather_rows: x \(inputs[0]) by rows \(inputs[1]); x [N, D] and rows [n] int32 are needed")
        }
        return [TensorType([inputs[1].count, inputs[0].columns])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil, nil] }
        return [try graph.scatterRows(dy, node.inputs[1], count: node.inputs[0].shape[0]), nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (count, width) = (context.inputs[1].count, context.inputs[0].columns)
        return [
            context.runLaunch(
                "rows_gather", family: "rows", rows: count, width: width,
                arguments: [.input(0), .input(1), .output(0), .int(count), .int(context.inputs[0].rows), .int(width)],
                traffic: Traffic(bytes: 8 * count * width))
        ]
    }
}

/// Rows put to the places that `rows` [n] int32 names, those of one place added up in the order of `rows`. Output [N, D].
struct ScatterRows: Operation {
    enum Form: Hashable, Sendable {
        /// Places without a row are 0. Inputs: x [n, D], rows.
        case ontoZeros(count: Int)
        /// Places without a row are those of a base. Inputs: x [n, D], rows, base [N, D].
        case over
        /// Named places are 0, the others those of a base. Inputs: base [N, D], rows.
        case clear
    }
    let form: Form

    var name: String { form == .clear ? "clear_rows" : "scatter_rows" }
    private var base: Int? {
        switch form {
        case .ontoZeros: nil
        case .over: 2
        case .clear: 0
        }
    }
    var inPlace: [(input: Int, output: Int)] { base.map { [(input: $0, output: 0)] } ?? [] }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 2, inputs[0].element == .float32, inputs[1].rank == 1, inputs[1].element == .int32,
            form == .clear || inputs[0].rows == inputs[1].count
        else {
            throw GraphError("\(name): x \(inputs[0]) by rows \(inputs[1]); x [n, D] and rows [n] int32 are needed")
        }
        switch form {
        case .ontoZeros(let count): return [TensorType([count, inputs[0].columns])]
        case .clear: return [inputs[0]]
        case .over:
            guard inputs[2].rank == 2, inputs[2].element == .float32, inputs[2].columns == inputs[0].columns else {
                throw GraphError("\(name): x \(inputs[0]) over \(inputs[2]); a base [N, \(inputs[0].columns)] is needed")
            }
            return [inputs[2]]
        }
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        let rows = node.inputs[1]
        func cleared() throws -> Tensor { try graph.apply(ScatterRows(form: .clear), dy, rows)[0] }
        switch form {
        case .ontoZeros: return [try graph.gatherRows(dy, rows), nil]
        case .clear: return [try cleared(), nil]
        case .over: return [needs[0] ? try graph.gatherRows(dy, rows) : nil, nil, needs[2] ? try cleared() : nil]
        }
    }
    /// The list of each place: its first row, and the row after each row.
    func scratch(_ context: LaunchContext) -> [TensorType] {
        [TensorType([context.outputs[0].rows], .int32), TensorType([context.inputs[1].count], .int32)]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (count, places, width) = (context.inputs[1].count, context.outputs[0].rows, context.outputs[0].columns)
        let adds = form != .clear
        let lists = [
            context.itemLaunch(
                "rows_clear", family: "rows", items: places, arguments: [.scratch(0), .int(places)],
                traffic: Traffic(bytes: 4 * places)),
            context.itemLaunch(
                "rows_link", family: "rows", items: count,
                arguments: [.input(1), .scratch(0), .scratch(1), .int(count), .int(places)],
                traffic: Traffic(bytes: 16 * count)),
        ]
        let order = context.itemLaunch(
            "rows_sort", family: "rows", items: places, arguments: [.scratch(0), .scratch(1), .int(places)],
            traffic: Traffic(bytes: 4 * (places + min(count, places))))
        let read = (adds ? count : 0) + (base == nil ? 0 : max(0, places - count))
        let scatter = context.runLaunch(
            "rows_scatter", family: "rows", rows: places, width: width,
            arguments: [
                .input(0), .input(base ?? 0), .scratch(0), .scratch(1), .output(0), .int(places), .int(width),
                .int(adds ? 1 : 0), .int(base == nil ? 0 : 1),
            ], traffic: Traffic(bytes: 4 * width * (read + places)))
        return lists + (adds ? [order] : []) + [scatter]
    }
}

extension Graph {
    /// The rows of `x` [N, D] that `rows` [n] int32 names: [n, D]. An index that is negative, or N and more, gives zeros: it pads
    /// a list to its length. A row may be named more than once; its gradient is then the sum of what arrives, in the order
    /// of `rows`, so the same bits each run.
    public func gatherRows(_ x: Tensor, _ rows: Tensor) throws -> Tensor { try apply(GatherRows(), x, rows)[0] }

    /// The adjoint of `gatherRows`: [count, D] that has x[i] of `x` [n, D] in row rows[i] (`rows` [n] int32), zeros in rows that
    /// are not named. Rows named more than once are added up, in the order of `rows`. Indices out of range are left out.
    public func scatterRows(_ x: Tensor, _ rows: Tensor, count: Int) throws -> Tensor {
        try apply(ScatterRows(form: .ontoZeros(count: count)), x, rows)[0]
    }

    /// `base` [N, D] with x[i] of `x` [n, D] in the place of row rows[i] (`rows` [n] int32): named rows lose what the base has
    /// there, and are the sum of all x that name them; the others stay. Indices out of range are left out. Placed where a
    /// stored base lies, it moves the named rows alone.
    public func scatterRows(_ x: Tensor, _ rows: Tensor, over base: Tensor) throws -> Tensor {
        try apply(ScatterRows(form: .over), x, rows, base)[0]
    }

    /// `x` [N, D] with zeros in the rows that `rows` [n] int32 names.
    public func clearRows(_ x: Tensor, _ rows: Tensor) throws -> Tensor { try apply(ScatterRows(form: .clear), x, rows)[0] }
}
