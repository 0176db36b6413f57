/// A nonlinearity applied to each element.
enum Activation: String, Sendable, Hashable {
    case gelu, silu, relu
}

/// y = f(x).
struct Activate: Operation {
    let function: Activation

    var name: String { function.rawValue }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(ActivateGradient(function: function), node.inputs[0], $0)[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "\(name)_forward", family: "activation", count: count,
                arguments: [.input(0), .output(0), .int(count)], traffic: Traffic(bytes: 8 * count, flops: 20 * count))
        ]
    }
}

/// dx = dy f'(x). Inputs: x, dy.
struct ActivateGradient: Operation {
    let function: Activation

    var name: String { "\(function.rawValue)_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                name, family: "activation", count: count,
                arguments: [.input(0), .input(1), .output(0), .int(count)],
                traffic: Traffic(bytes: 12 * count, flops: 20 * count))
        ]
    }
}

extension Graph {
    /// Exact GELU, x (1 + erf(x / sqrt 2)) / 2.
    public func gelu(_ x: Tensor) throws -> Tensor { try apply(Activate(function: .gelu), x)[0] }

    /// SiLU, x / (1 + exp(-x)).
    public func silu(_ x: Tensor) throws -> Tensor { try apply(Activate(function: .silu), x)[0] }

    /// The larger of x and 0.
    public func relu(_ x: Tensor) throws -> Tensor { try apply(Activate(function: .relu), x)[0] }
}
