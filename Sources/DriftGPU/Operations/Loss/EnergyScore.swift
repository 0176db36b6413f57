/// The energy score of pairs of samples. Inputs: samples [2, n, C], targets [m, C]; outputs: score [n], distances [n, 3].
struct EnergyScore: Operation {
    let repulsion: Float
    let power: Float

    var name: String { "energy_score" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (samples, targets) = (inputs[0], inputs[1])
        guard samples.rank == 3, samples.shape[0] == 2, targets.rank == 2, targets.columns == samples.columns, targets.rows > 0,
            samples.shape[1].isMultiple(of: targets.rows)
        else { throw GraphError("energy_score: samples \(samples) and targets \(targets); [2, n, C] and [m, C] are needed, m dividing n") }
        guard repulsion.isFinite, power > 0, power <= 2 else {
            throw GraphError("energy_score: repulsion \(repulsion), power \(power); take a number, and one above 0 up to 2")
        }
        return [TensorType([samples.shape[1]]), TensorType([samples.shape[1], 3])]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard gradients[1] == nil, !needs[1] else { throw GraphError("energy_score: the gradient of the score reaches the samples alone") }
        guard let dscore = gradients[0] else { return [nil, nil] }
        let operation = EnergyScoreGradient(repulsion: repulsion, power: power)
        return [try graph.apply(operation, node.inputs[0], node.inputs[1], node.outputs[1], dscore)[0], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (samples, targets) = (context.inputs[0], context.inputs[1])
        return [
            context.itemLaunch(
                "energy_score_forward", family: name, items: samples.shape[1], size: 8 * samples.columns,
                arguments: [
                    .input(0), .input(1), .output(0), .output(1), .int(samples.shape[1]), .int(targets.rows), .int(samples.columns),
                    .float(repulsion), .float(power),
                ], traffic: Traffic(bytes: 4 * (samples.count + targets.count), flops: 5 * samples.count))
        ]
    }
}

/// dsamples. Inputs: samples, targets, distances, dscore [n].
struct EnergyScoreGradient: Operation {
    let repulsion: Float
    let power: Float

    var name: String { "energy_score_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let (samples, targets) = (context.inputs[0], context.inputs[1])
        return [
            context.itemLaunch(
                name, family: "energy_score", items: samples.shape[1], size: 8 * samples.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(samples.shape[1]), .int(targets.rows),
                    .int(samples.columns), .float(repulsion), .float(power),
                ], traffic: Traffic(bytes: 8 * samples.count + 4 * targets.count, flops: 5 * samples.count))
        ]
    }
}

extension Graph {
    /// |y1 - x| + |y2 - x| - `repulsion` |y1 - y2| of each row, in Euclidean distances to the power `power`: samples [2, n, C] are all
    /// y1, then all y2; row r has the target r % m of `targets` [m, C]. score [n], whose gradient reaches the samples (0 where two
    /// points meet), and the three distances [n, 3], which have none.
    public func energyScore(
        _ samples: Tensor, targets: Tensor, repulsion: Float = 1, power: Float = 1
    ) throws -> (score: Tensor, distances: Tensor) {
        let parts = try apply(EnergyScore(repulsion: repulsion, power: power), samples, targets)
        return (parts[0], parts[1])
    }
}
