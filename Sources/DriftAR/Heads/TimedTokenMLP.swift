import DriftGPU

/// What the heads that draw a token in steps share: MAR's SimpleMLPAdaLN of a token on its way, whose condition is z and the time.
package struct TimedTokenMLP: Sendable, Hashable {
    package let shape: TokenHeadShape
    package let mlp: TokenMLP

    /// Numbers that tell times apart.
    private static let timeWidth = 256

    /// `outputs`: values of a row that comes out.
    package init(_ shape: TokenHeadShape, outputs: Int) {
        self.shape = shape
        mlp = TokenMLP(width: shape.width, depth: shape.depth, outputs: outputs)
    }

    /// The network's parameters, their names behind `prefix`.
    package func declarations(_ prefix: String) -> [ParameterDeclaration] {
        TokenMLP.embedding(prefix + "time_embed.mlp", Self.timeWidth, shape.width)
            + ParameterDeclaration.linear(prefix + "cond_embed", shape.conditionWidth, shape.width, .glorot)
            + ParameterDeclaration.linear(prefix + "input_proj", shape.tokenWidth, shape.width, .glorot) + mlp.declarations(prefix)
    }

    /// Times [n] -> [n, w].
    package static func embed(times: Tensor, _ net: ParameterScope) throws -> Tensor {
        try TokenMLP.embed(net.graph.sinusoid(times, width: timeWidth), net.scope("time_embed.mlp"))
    }

    /// z [n, D] -> [n, w].
    package func embed(z: Tensor, _ net: ParameterScope) throws -> Tensor { try net.linear(z, "cond_embed") }

    /// Tokens x [n, C] at embedded times [n, w], with z [m, D], whose rows repeat, whole tile after tile -> [n, outputs].
    package func callAsFunction(_ x: Tensor, time: Tensor, z: Tensor, _ net: ParameterScope) throws -> Tensor {
        try mlp(net.linear(x, "input_proj"), condition: net.graph.addPeriodic(time, embed(z: z, net)), net)
    }

    /// Of each step the embedded time [w], then its `numbers` [steps, k].
    package func table(times: Tensor, numbers: Tensor, _ net: ParameterScope) throws -> Tensor {
        try net.graph.concat([Self.embed(times: times, net), numbers], axis: 1)
    }

    /// The network in a step of a drawing whose row of the table ends in `count` numbers: what it gives, with guidance for both halves, the
    /// noise or velocity and the numbers. `kind`: the head's, for errors.
    package func step(
        _ step: TokenStep, numbers count: Int, head kind: String, _ net: ParameterScope
    ) throws -> (output: Tensor, other: Tensor, numbers: Tensor) {
        let (graph, width) = (net.graph, shape.width)
        guard let row = step.row, let other = step.other else {
            throw GraphError("head \(kind): a step needs its row of the table, and noise or the velocity of the step before; give both")
        }
        let time = try graph.slice(row, axis: 0, 0..<width)
        let numbers = try graph.slice(row, axis: 0, width..<(width + count))
        var x = try net.linear(step.x, "input_proj")
        if step.cfg != nil { x = try graph.concat([x, x], axis: 0) }
        return (try mlp(x, condition: graph.addPeriodic(step.embedded, time), net), other, numbers)
    }

    /// What the kernel of all steps takes of it. Throws where the network is too large for that.
    package func small(_ kind: String) throws -> TokenNetworkShape {
        guard let small = mlp.small else { throw GraphError("head \(kind): width \(shape.width) is too large for all steps at once") }
        return small
    }

    /// Its weights as that kernel reads them; nil where the network is too large.
    package func packed(_ net: ParameterScope) throws -> Tensor? { try mlp.packed(net, input: "input_proj") }
}
