/// Dropout while training: each element is dropped with a probability, the others scaled by 1 / (1 - probability).
public struct Dropout: Sendable, Hashable {
    public var probability: Float
    /// [4] uint32, {seed low, seed high, step low, step high}.
    public var clock: Tensor

    public init(probability: Float, clock: Tensor) {
        self.probability = probability
        self.clock = clock
    }

    /// Throws unless the probability is in [0, 1) and the clock is one.
    func check(_ name: String) throws {
        try checkClock(clock.type, name)
        guard probability >= 0, probability < 1 else {
            throw GraphError("\(name): dropout probability \(probability) is not in [0, 1)")
        }
    }
}

/// A dropout mask as an operation holds it: drawn again for the gradient, not stored.
struct DropoutDraw: Sendable, Hashable {
    let probability: Float
    let stream: Int
    var arguments: [Argument] { [.int(stream), .float(probability)] }
}

/// y = x m, m = 0 with the given probability, else 1 / (1 - probability). Inputs: x, clock.
struct DropoutMask: Operation {
    let draw: DropoutDraw

    var name: String { "dropout" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] { [inputs[0]] }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard let dy = gradients[0] else { return [nil, nil] }
        return [try graph.apply(self, dy, node.inputs[1])[0], nil]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        return [
            context.elementLaunch(
                "dropout_forward", family: "random", count: count,
                arguments: [.input(0), .input(1), .output(0), .int(draw.stream), .int(count), .float(draw.probability)],
                traffic: Traffic(bytes: 8 * count, flops: count))
        ]
    }
}

extension Graph {
    /// `x` with dropped elements. Probability 0 gives `x` itself.
    public func dropout(_ x: Tensor, _ dropout: Dropout) throws -> Tensor {
        guard let draw = try dropoutDraw(dropout, "dropout") else { return x }
        return try apply(DropoutMask(draw: draw), x, dropout.clock)[0]
    }

    /// The draw of `dropout`; nil where nothing is dropped. `name`: the operation that draws, for errors.
    func dropoutDraw(_ dropout: Dropout?, _ name: String) throws -> DropoutDraw? {
        guard let dropout else { return nil }
        try dropout.check(name)
        // The stream is taken either way: the numbers other nodes draw do not depend on the probability.
        let stream = nextStream()
        return dropout.probability > 0 ? DropoutDraw(probability: dropout.probability, stream: stream) : nil
    }
}
