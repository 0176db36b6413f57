/// y = a + b, same shape.
struct Add: Operation {
    var name: String { "add" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0] == inputs[1] else { throw GraphError("add: \(inputs[0]) and \(inputs[1]) differ") }
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [gradients[0], gradients[0]]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "add_forward", family: "add", count: count, arguments: [.input(0), .input(1), .output(0), .int(count)],
                traffic: Traffic(bytes: 12 * count, flops: count))
        ]
    }
}

extension Graph {
    /// a + b; both of one shape.
    public func add(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(Add(), a, b)[0] }
}
