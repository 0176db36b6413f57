/// How uncertainty becomes noise: sigma(E) = maximum (exp(E / tau) - 1) / (exp(entropyMaximum / tau) - 1), E clamped to
/// [0, entropyMaximum].
public struct SigmaMap: Sendable, Hashable {
    public var maximum: Float
    public var tau: Float
    public var entropyMaximum: Float

    public init(maximum: Float = 0.5, tau: Float = 2, entropyMaximum: Float = 1) {
        self.maximum = maximum
        self.tau = tau
        self.entropyMaximum = entropyMaximum
    }

    fileprivate var arguments: [Argument] { [.float(maximum), .float(tau), .float(entropyMaximum)] }
    fileprivate func check(_ name: String) throws {
        guard tau > 0, entropyMaximum > 0, tau.isFinite, entropyMaximum.isFinite, maximum.isFinite else {
            throw GraphError("\(name): sigma maximum \(maximum), tau \(tau), entropy maximum \(entropyMaximum); tau and the entropy maximum must be positive")
        }
    }
}

/// y = sigma(E), element-wise.
struct Sigma: Operation {
    let map: SigmaMap

    var name: String { "sigma" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try map.check(name)
        return [inputs[0]]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        [try gradients[0].map { try graph.apply(SigmaGradient(map: map), node.inputs[0], $0)[0] }]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.itemLaunch(
                "sigma_forward", family: "prior", items: count,
                arguments: [.input(0), .output(0), .int(count)] + map.arguments, traffic: Traffic(bytes: 8 * count))
        ]
    }
}

/// dE = sigma'(E) dy. Inputs: E, dy.
struct SigmaGradient: Operation {
    let map: SigmaMap

    var name: String { "sigma_backward" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.itemLaunch(
                "sigma_backward", family: "prior", items: count,
                arguments: [.input(0), .input(1), .output(0), .int(count)] + map.arguments,
                traffic: Traffic(bytes: 12 * count))
        ]
    }
}

/// x0[l, g, r] = token[l, r] + sigma(E[l, r]) eps[l, g, r]. Inputs: token [L, R, C], entropy [L, R], eps [L G, R, C].
struct Prior: Operation {
    let map: SigmaMap

    var name: String { "prior" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try map.check(name)
        let (token, entropy, noise) = (inputs[0], inputs[1], inputs[2])
        guard token.rank == 3, noise.rank == 3, entropy.shape == Array(token.shape.dropLast()),
            noise.shape.dropFirst() == token.shape.dropFirst(), token.shape[0] > 0,
            noise.shape[0].isMultiple(of: token.shape[0])
        else {
            throw GraphError("prior: token \(token), entropy \(entropy), noise \(noise); [L, R, C], [L, R], [L G, R, C] are needed")
        }
        return [noise]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dx0 = gradients[0] else { return [nil, nil, nil] }
        guard !needs[2] else { throw GraphError("prior: no gradient reaches the noise") }
        let operation = PriorGradient(map: map)
        let result = try graph.apply(operation, node.inputs[1], node.inputs[2], dx0)
        return [result[0], result[1], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let token = context.inputs[0].shape
        let group = context.inputs[2].shape[0] / token[0]
        return [
            context.itemLaunch(
                "prior_forward", family: "prior", items: token[0] * group * token[1], size: token[2],
                arguments: [.input(0), .input(1), .input(2), .output(0), .int(token[0]), .int(group), .int(token[1]), .int(token[2])]
                    + map.arguments,
                traffic: Traffic(
                    bytes: 4 * context.inputs[0].count * (1 + 2 * group), flops: 2 * context.outputs[0].count))
        ]
    }
}

/// Gradients of token and entropy, summed over the images of a label. Inputs: entropy [L, R], eps, dx0 [L G, R, C].
struct PriorGradient: Operation {
    let map: SigmaMap

    var name: String { "prior_backward" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        [TensorType(inputs[0].shape + [inputs[1].columns]), inputs[0]]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let token = context.outputs[0].shape
        let group = context.inputs[1].shape[0] / token[0]
        return [
            context.itemLaunch(
                "prior_backward", family: "prior", items: token[0] * token[1], size: token[2] * group,
                arguments: [
                    .input(0), .input(1), .input(2), .output(0), .output(1), .int(token[0]), .int(group), .int(token[1]),
                    .int(token[2]),
                ] + map.arguments,
                traffic: Traffic(
                    bytes: 4 * context.outputs[0].count * (1 + 2 * group), flops: 3 * context.inputs[1].count))
        ]
    }
}

extension Graph {
    /// sigma(E), the noise level of each position.
    public func sigma(_ entropy: Tensor, _ map: SigmaMap) throws -> Tensor { try apply(Sigma(map: map), entropy)[0] }

    /// The decoder's start point, token + sigma(E) noise: token [L, R, C], entropy [L, R], noise [L G, R, C]; entry b of the
    /// noise belongs to label b / G. Gradients flow into token and entropy.
    public func prior(token: Tensor, entropy: Tensor, noise: Tensor, _ map: SigmaMap) throws -> Tensor {
        try apply(Prior(map: map), token, entropy, noise)[0]
    }
}
