/// sum += x, after setting it to 0 where `restart` says so. Inputs: x, sum (stored, written to), restart [1].
struct Accumulate: Operation {
    var name: String { "accumulate" }
    var mutatedInputs: [Int] { [1] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].count == inputs[1].count, inputs[2].count == 1 else {
            throw GraphError("accumulate: \(inputs[0]) into \(inputs[1]), restart \(inputs[2])")
        }
        return []
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.inputs[0].count
        return [
            context.elementLaunch(
                "accumulate_forward", family: name, count: count,
                arguments: [.input(0), .input(1), .input(2), .int(count)],
                traffic: Traffic(bytes: 12 * count, flops: count))
        ]
    }
}

extension Graph {
    /// Adds `x` to the stored tensor `sum`, which begins again at 0 in runs where `restart` [1] is not 0. Every addition is
    /// rounded by itself: a mean is the sum multiplied once at the end, so that it has the bits of any other sum in that order.
    public func accumulate(_ x: Tensor, into sum: Tensor, restart: Tensor) throws {
        guard places[sum.id] != nil else { throw GraphError("accumulate: the sum \(sum.type) is not stored between runs") }
        _ = try apply(Accumulate(), x, sum, restart)
    }
}
