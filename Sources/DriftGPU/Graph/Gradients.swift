extension Graph {
    /// Adds the reverse-mode nodes for d`loss`/d`targets` and returns one gradient per target, in the target's shape; nil
    /// where the loss does not depend on it. `loss` has one element. `recomputing`: values inside of segments are computed
    /// again for the backward pass, to the same bits, instead of being kept: less memory for about a third more work.
    public func gradients(
        of loss: Tensor, withRespectTo targets: [Tensor], recomputing: Bool = false
    ) throws -> [Tensor?] {
        guard loss.count == 1 else {
            throw GraphError("gradients: the loss has shape \(loss.type), not one element; give a seed")
        }
        return try gradients(
            of: [(loss, try constant("one", [Float(1)], [1]))], withRespectTo: targets, recomputing: recomputing)
    }

    /// The same for the scalar sum of products of `outputs` with their seeds: the seeds, of the outputs' shapes, are what
    /// arrives at each output.
    public func gradients(
        of outputs: [(tensor: Tensor, seed: Tensor)], withRespectTo targets: [Tensor], recomputing: Bool = false
    ) throws -> [Tensor?] {
        try identity.check(outputs.map(\.tensor) + outputs.map(\.seed) + targets, "gradients")
        let forward = nodes.count
        var recomputation = recomputing ? Recomputation(self) : nil
        // Values on a path from a target: everything else needs no backward node.
        var reached = Set(targets.map(\.id))
        for node in nodes where node.inputs.contains(where: { reached.contains($0.id) }) && !(node.operation is Detach) {
            reached.formUnion(node.outputs.map(\.id))
        }
        var gradient: [Int: Tensor] = [:]

        func accumulate(_ contribution: Tensor, into id: Int) throws {
            if let sum = gradient[id] {
                gradient[id] = try add(sum, reshape(contribution, sum.shape))
            } else {
                gradient[id] = contribution
            }
        }

        for (tensor, seed) in outputs { try accumulate(seed, into: tensor.id) }
        for index in stride(from: forward - 1, through: 0, by: -1) {
            let node = nodes[index]
            let needs = node.inputs.map { reached.contains($0.id) }
            guard needs.contains(true), node.outputs.contains(where: { gradient[$0.id] != nil }) else { continue }
            if node.operation is Detach { continue }
            let arriving = try node.outputs.map { output in try gradient[output.id].map { try reshape($0, output.shape) } }
            let seen = try recomputation?.node(index) ?? node
            let leaving = try part(node.part) {
                try node.operation.gradient(self, node: seen, gradients: arriving, needs: needs)
            }
            for (position, input) in node.inputs.enumerated() where needs[position] {
                guard let contribution = leaving[position] else { continue }
                guard contribution.count == input.count else {
                    throw GraphError(
                        "\(node.operation.name): gradient \(contribution.type) of input \(position), which is \(input.type)")
                }
                try accumulate(contribution, into: input.id)
            }
        }
        return try targets.map { target in try gradient[target.id].map { try reshape($0, target.shape) } }
    }
}
