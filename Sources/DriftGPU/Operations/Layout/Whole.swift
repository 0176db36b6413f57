/// y[i] = x[i] rounded to the nearest whole number, ties to even. Output int32.
struct Whole: Operation {
    var name: String { "whole" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].element == .float32 else { throw GraphError("whole: \(inputs[0]); float32 is needed") }
        return [TensorType(inputs[0].shape, .int32)]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[0].count
        return [
            context.itemLaunch(
                "whole_forward", family: name, items: count, arguments: [.input(0), .output(0), .int(count)],
                traffic: Traffic(bytes: 8 * count))
        ]
    }
}

extension Graph {
    /// The numbers of `x`, each below 2^31, rounded to int32: to name rows by them. No gradient.
    public func whole(_ x: Tensor) throws -> Tensor { try apply(Whole(), x)[0] }
}
