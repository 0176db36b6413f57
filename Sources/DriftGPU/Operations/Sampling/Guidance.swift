/// Classifier-free guidance of both halves of a batch. Inputs: x [2 N, ...], cfg [1] or one for each of equal stretches of the N
/// elements.
struct Guidance: Operation {
    var name: String { "guidance" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard let batch = inputs[0].shape.first, batch.isMultiple(of: 2), inputs[1].count > 0, batch / 2 % inputs[1].count == 0 else {
            throw GraphError(
                "guidance: a batch \(inputs[0]) with cfg \(inputs[1]); two equal halves, and one element or one for each of so many of its rows are needed")
        }
        return [TensorType([batch / 2] + inputs[0].shape.dropFirst())]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (count, rows) = (context.outputs[0].count, context.inputs[1].count)
        return [
            context.runLaunch(
                "guidance_forward", family: name, rows: rows, width: count / rows,
                arguments: [.input(0), .input(1), .output(0), .int(rows), .int(count / rows)],
                traffic: Traffic(bytes: 12 * count, flops: 3 * count))
        ]
    }
}

extension Graph {
    /// unconditional + cfg (conditional - unconditional): x [2 N, ...] holds the conditional half, then the unconditional one.
    /// `cfg` has one element, or k elements, k a divisor of N: element i is for the i-th of k equal stretches of the N. No gradient.
    public func guidance(_ x: Tensor, by cfg: Tensor) throws -> Tensor { try apply(Guidance(), x, cfg)[0] }
}
