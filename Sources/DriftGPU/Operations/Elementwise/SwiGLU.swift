/// y = silu(a) b. Inputs: x = [a | b] along the last axis, or a and b.
struct SwiGLU: Operation {
    let isSplit: Bool

    var name: String { "swiglu" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard !isSplit else {
            guard inputs[0] == inputs[1] else { throw GraphError("swiglu: \(inputs[0]) and \(inputs[1]) are not alike") }
            return [inputs[0]]
        }
        guard inputs[0].columns % 2 == 0 else { throw GraphError("swiglu: \(inputs[0]) has no two halves") }
        return [TensorType(Array(inputs[0].shape.dropLast()) + [inputs[0].columns / 2])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return node.inputs.map { _ in nil } }
        return try graph.apply(SwiGLUGradient(isSplit: isSplit), [dy] + node.inputs).map { $0 }
    }
    /// a and b, of n columns, among the tensors that `make` gives from an element on.
    static func parts(isSplit: Bool, n: Int, _ make: (_ index: Int, _ offset: Int) -> Argument) -> [Argument] {
        isSplit ? [make(0, 0), make(1, 0)] : [make(0, 0), make(0, n)]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let y = context.outputs[0]
        return [
            context.shareLaunch(
                "swiglu_forward", family: name, rows: y.rows, columns: y.columns,
                arguments: Self.parts(isSplit: isSplit, n: y.columns) { .input($0, offset: $1) }
                    + [.output(0), .int(y.rows), .int(y.columns), .int(isSplit ? y.columns : 2 * y.columns)],
                traffic: Traffic(bytes: 12 * y.count, flops: 20 * y.count))
        ]
    }
}

/// dx, or da and db. Inputs: dy, then those of the forward.
struct SwiGLUGradient: Operation {
    let isSplit: Bool

    var name: String { "swiglu_backward" }
    var inPlace: [(input: Int, output: Int)] { isSplit ? [(1, 0), (2, 1)] : [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { Array(inputs.dropFirst()) }
    func commands(_ context: LaunchContext) -> [Command] {
        let dy = context.inputs[0]
        return [
            context.shareLaunch(
                name, family: "swiglu", rows: dy.rows, columns: dy.columns,
                arguments: [.input(0)] + SwiGLU.parts(isSplit: isSplit, n: dy.columns) { .input(1 + $0, offset: $1) }
                    + SwiGLU.parts(isSplit: isSplit, n: dy.columns) { .output($0, offset: $1) }
                    + [.int(dy.rows), .int(dy.columns), .int(isSplit ? dy.columns : 2 * dy.columns)],
                traffic: Traffic(bytes: 20 * dy.count, flops: 30 * dy.count))
        ]
    }
}

extension Graph {
    /// silu(a) b, the halves of the last axis: [..., 2 n] -> [..., n] (SwiGLU).
    public func swiglu(_ x: Tensor) throws -> Tensor { try apply(SwiGLU(isSplit: false), x)[0] }

    /// silu(a) b of two tensors alike.
    public func swiglu(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(SwiGLU(isSplit: true), a, b)[0] }
}
