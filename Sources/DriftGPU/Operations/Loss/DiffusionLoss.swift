/// The loss of a diffusion for each row. Inputs: output [n, 2 C], x [m, C], noise [n, C], time [n], table; outputs: mse and variational
/// bound [n].
struct DiffusionLoss: Operation {
    var name: String { "diffusion_loss" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try DiffusionTimes.check(name, inputs[4])
        let (output, x, noise, time) = (inputs[0], inputs[1], inputs[2], inputs[3])
        guard x.rank == 2, noise.rank == 2, output.shape == [noise.rows, 2 * noise.columns], x.columns == noise.columns, x.rows > 0,
            noise.rows.isMultiple(of: x.rows), time.shape == [noise.rows]
        else {
            throw GraphError("diffusion_loss: output \(output), x \(x), noise \(noise), time \(time); [n, 2 C], [m, C], [n, C], [n] are needed, m dividing n")
        }
        return [time, time]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard !needs.dropFirst().contains(true) else { throw GraphError("diffusion_loss: the gradient reaches the network's output alone") }
        func given(_ gradient: Tensor?) throws -> Tensor { try gradient ?? graph.fill(node.outputs[0].shape, with: 0) }
        let doutput = try graph.apply(DiffusionLossGradient(), node.inputs + [given(gradients[0]), given(gradients[1])])[0]
        return [doutput, nil, nil, nil, nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, noise) = (context.inputs[1], context.inputs[2])
        return [
            context.itemLaunch(
                "diffusion_loss_forward", family: name, items: noise.rows, size: 40 * noise.columns,
                arguments: (0..<5).map { .input($0) } + [.output(0), .output(1)] + diffusionSizes(context),
                traffic: Traffic(bytes: 12 * noise.count + 4 * x.count, flops: 40 * noise.count))
        ]
    }
}

private func diffusionSizes(_ context: LaunchContext) -> [Argument] {
    let (x, noise) = (context.inputs[1], context.inputs[2])
    return [.int(noise.rows), .int(x.rows), .int(noise.columns), .int(context.inputs[4].rows)]
}

/// doutput. Inputs: those of the loss, dmse [n], dvb [n].
struct DiffusionLossGradient: Operation {
    var name: String { "diffusion_loss_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, noise) = (context.inputs[1], context.inputs[2])
        return [
            context.itemLaunch(
                name, family: "diffusion_loss", items: noise.rows, size: 60 * noise.columns,
                arguments: (0..<7).map { .input($0) } + [.output(0)] + diffusionSizes(context),
                traffic: Traffic(bytes: 20 * noise.count + 4 * x.count, flops: 60 * noise.count))
        ]
    }
}

extension Graph {
    /// What a network's `output` [n, 2 C] (the noise e, then the number v of the variance) is worth for clean tokens x [m, C] with
    /// `noise` [n, C] at `time` [n]; row r has x's row r % m. mse [n], the mean squared error of e, whose gradient reaches e alone;
    /// bound [n], the term of the variational bound in bits, whose gradient reaches v alone.
    public func diffusionLoss(
        _ output: Tensor, x: Tensor, noise: Tensor, time: Tensor, _ times: DiffusionTimes
    ) throws -> (mse: Tensor, bound: Tensor) {
        let parts = try apply(DiffusionLoss(), output, x, noise, time, times.table)
        return (parts[0], parts[1])
    }
}
