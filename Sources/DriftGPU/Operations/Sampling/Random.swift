/// Random numbers from (seed, stream, step, element): nothing is stored, and a replay draws new ones when the clock moves.
/// Input: the clock [4] uint32, {seed low, seed high, step low, step high}.
struct Random: Operation {
    enum Distribution: String, Sendable {
        case normal, uniform
    }
    let distribution: Distribution
    let shape: [Int]
    let stream: Int

    var name: String { "random_\(distribution.rawValue)" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try checkClock(inputs[0], name)
        return [TensorType(shape)]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { [nil] }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        let lanes = context.traits.lanes
        return [
            context.itemLaunch(
                name, family: "random", items: (count + 63) / 64 * (16 / lanes), size: 4 * lanes,
                arguments: [.input(0), .output(0), .int(stream), .int(count)],
                traffic: Traffic(bytes: 4 * count, flops: 30 * count))
        ]
    }
}

/// Throws unless `type` is that of a clock.
func checkClock(_ type: TensorType, _ name: String) throws {
    guard type == TensorType([4], .uint32) else { throw GraphError("\(name): the clock is \(type), not [4] uint32") }
}

extension Graph {
    /// Independent standard normal numbers, new ones at each step of `clock`.
    public func randomNormal(_ shape: [Int], clock: Tensor) throws -> Tensor {
        try apply(Random(distribution: .normal, shape: shape, stream: nextStream()), clock)[0]
    }

    /// Independent numbers uniform in [0, 1), new ones at each step of `clock`.
    public func randomUniform(_ shape: [Int], clock: Tensor) throws -> Tensor {
        try apply(Random(distribution: .uniform, shape: shape, stream: nextStream()), clock)[0]
    }
}
