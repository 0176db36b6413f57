/// y = factor * x.
struct Scale: Operation {
    let factor: Float

    var name: String { "scale" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.scale($0, by: factor) }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "scale_forward", family: "elementwise", count: count,
                arguments: [.input(0), .output(0), .int(count), .float(factor)],
                traffic: Traffic(bytes: 8 * count, flops: count))
        ]
    }
}

/// y = (factor * by + offset) * x. Inputs: x, by [1]. No gradient reaches `by`.
struct ScaleBy: Operation {
    let factor: Float
    let offset: Float

    var name: String { "scale_by" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[1].count == 1 else { throw GraphError("scale_by: the factor is \(inputs[1]), not one element") }
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil, nil] }
        return [try graph.apply(self, dy, node.inputs[1])[0], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "scale_by_forward", family: "elementwise", count: count,
                arguments: [.input(0), .input(1), .output(0), .int(count), .float(factor), .float(offset)],
                traffic: Traffic(bytes: 8 * count, flops: count))
        ]
    }
}

/// A tensor of one value.
struct Fill: Operation {
    let shape: [Int]
    let value: Float

    var name: String { "fill" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [TensorType(shape)] }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { [] }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "fill_forward", family: "elementwise", count: count, arguments: [.output(0), .int(count), .float(value)],
                traffic: Traffic(bytes: 4 * count))
        ]
    }
}

extension Graph {
    /// factor * x.
    public func scale(_ x: Tensor, by factor: Float) throws -> Tensor {
        factor == 1 ? x : try apply(Scale(factor: factor), x)[0]
    }

    /// (factor * by + offset) * x, for factors that change from step to step (`by` has one element and gets no gradient).
    public func scale(_ x: Tensor, by: Tensor, factor: Float = 1, offset: Float = 0) throws -> Tensor {
        try apply(ScaleBy(factor: factor, offset: offset), x, by)[0]
    }

    /// A tensor filled with `value` in every run.
    public func fill(_ shape: [Int], with value: Float) throws -> Tensor {
        try apply(Fill(shape: shape, value: value), [])[0]
    }
}
