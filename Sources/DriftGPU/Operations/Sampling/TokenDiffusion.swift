/// What the steps of a token are (`flow` of the kernel).
public enum TokenSteps: Int, Sendable {
    /// `diffusionStep`: the network gives noise and the number of its variance.
    case diffusion = 0
    /// `flowStep` with noise: it gives the velocity alone.
    case sde = 1
    /// `flowStep` with the velocity of the step before in the noise's place.
    case ode = 2
}

/// All steps of the diffusions, or of the flows, of tokens. Inputs: x [n, C], condition [n, w] ([2 n, w] with guidance), table [N, w + 9], packed weights,
/// places [n] int32, then key, labels, first image as those of `Noise`; then cfg [1] with guidance. Output [n, C].
struct TokenDiffusion: Operation {
    let kind: TokenSteps
    let shape: TokenNetworkShape
    let tokens: Int
    let imagesPerLabel: Int
    let stream: Int
    let temperature: Float
    let limit: Float

    var name: String { "token_diffusion" }
    private var numbers: Int { kind == .diffusion ? DiffusionStepNumbers.count : FlowStepNumbers.count }
    private var outputs: Int { kind == .diffusion ? 2 : 1 }
    private func isGuided(_ inputs: [TensorType]) -> Bool { inputs.count > 8 }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try shape.check(name)
        let (x, condition, table) = (inputs[0], inputs[1], inputs[2])
        guard x.rank == 2, x.rows > 0, shape.outputs == outputs * x.columns,
            condition.shape == [x.rows * (isGuided(inputs) ? 2 : 1), shape.width], table.rank == 2,
            table.columns == shape.width + numbers
        else {
            throw GraphError(
                "token_diffusion: x \(x), condition \(condition), table \(table); [n, \(shape.outputs / outputs)], [n, \(shape.width)] (guided [2 n, ..]) and [N, \(shape.width + numbers)] are needed")
        }
        guard inputs[3].count == shape.packedCount + TokenNetworkShape.padded(shape.width) * (x.columns + 1), inputs[4] == TensorType([x.rows], .int32),
            inputs[5] == TensorType([2], .uint32), inputs[6].element == .int32, inputs[7] == TensorType([1], .uint32)
        else {
            throw GraphError(
                "token_diffusion: weights \(inputs[3]), places \(inputs[4]), key \(inputs[5]), labels \(inputs[6]), first image \(inputs[7]) for x \(x)")
        }
        guard tokens > 0, imagesPerLabel > 0, tokens * x.columns <= LaunchLimits.argument, !isGuided(inputs) || inputs[8].count == 1 else {
            throw GraphError("token_diffusion: \(tokens) tokens an image, \(imagesPerLabel) images a label; 1 at least are needed")
        }
        return [x]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, steps, isGuided) = (context.inputs[0], context.inputs[2].rows, isGuided(context.inputs))
        let tile = TokenTile(rows: x.rows, columns: max(shape.width, shape.outputs), buffers: 6, context.traits)
        let passes = x.rows * steps * (isGuided ? 2 : 1)
        return [
            context.teamLaunch(
                name, family: name, defines: tile.defines, teams: tile.count(x.rows), indices: context.inputs[1].count,
                arguments: (0..<8).map { .input($0) } + [
                    .input(isGuided ? 8 : 2), .output(0), .int(x.rows), .int(x.columns), .int(shape.width), .int(shape.depth),
                    .int(shape.packedCount), .int(steps), .int(isGuided ? 1 : 0), .int(kind.rawValue), .int(tokens), .int(imagesPerLabel), .int(stream),
                    .float(temperature), .float(limit),
                ],
                traffic: Traffic(
                    bytes: 4 * (2 * x.count + context.inputs[1].count + context.inputs[2].count + context.inputs[3].count)
                        + (kind == .ode ? 8 * (steps - 1) * x.count : 0),
                    flops: passes * (shape.flops + 2 * shape.width * x.columns)))
        ]
    }
}

extension Graph {
    /// The whole drawing of tokens by their diffusions, in one launch: from x [n, C] through N steps, each of which asks a
    /// SimpleMLPAdaLN (input layer and network, `weights` as `tokenWeights` packs them) for the noise under the condition [n, w] plus
    /// the step's embedded time, and takes a step back as `diffusionStep` does. `table` [N, w + 9]: of each step the embedded time and
    /// `DiffusionStepNumbers.values`. `places` [n] int32: where the tokens stand in [images, tokens]; the noise of step s is what
    /// `randomNormal([tokens, C], images:of:)` draws there in round s, whatever round `noise` names. With `cfg` [1] the condition is
    /// [2 n, w], rows of no label behind the others. Of a flow (`kind` `sde` or `ode`) the network gives a velocity, the table has
    /// `FlowStepNumbers.values`, and a step is that of `flowStep`; with `ode` nothing is random, whatever `noise` names.
    public func tokenDiffusion(
        _ x: Tensor, condition: Tensor, table: Tensor, weights: Tensor, shape: TokenNetworkShape, places: Tensor, noise: NoiseSource,
        tokens: Int, imagesPerLabel: Int, cfg: Tensor? = nil, temperature: Float = 1, limit: Float = 0,
        kind: TokenSteps = .diffusion
    ) throws -> Tensor {
        guard limit >= 0 else { throw GraphError("token_diffusion: limit \(limit); take 0 (none) or more") }
        let operation = TokenDiffusion(
            kind: kind, shape: shape, tokens: tokens, imagesPerLabel: imagesPerLabel, stream: noise.stream, temperature: temperature,
            limit: limit)
        return try apply(
            operation,
            [x, condition, table, weights, places, noise.key, noise.labels, noise.firstImage] + (cfg.map { [$0] } ?? []))[0]
    }
}
