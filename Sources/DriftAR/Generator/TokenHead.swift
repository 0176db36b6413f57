import DriftGPU

/// A head that draws each token from a condition of its own, so that a loop can draw some tokens of an image at a time. Rows stand
/// for tokens, whichever; n of them are drawn together.
///
/// A drawing is `embed` once, then `step` as often as the head has steps, from random numbers to tokens. With guidance the rows of
/// `embed` are 2n, those of no label behind the others.
package protocol TokenHead: Head {
    /// N, steps of a drawing.
    var steps: Int { get }
    /// The random numbers that a token starts from.
    var start: TokenNoise { get }
    /// Whether each step takes standard normal numbers [n, C] of its own.
    var drawsInSteps: Bool { get }
    /// Whether each step takes the velocity of the step before, in the first zeros, and gives its own: then nothing is random.
    var keepsVelocity: Bool { get }

    /// What all steps have in common: z [n, D] and the entropy [n] -> what `step` takes. `cfg` [1]: strength of guidance, nil for none.
    func embed(z: Tensor, entropy: Tensor?, cfg: Tensor?, _ scope: ParameterScope) throws -> Tensor
    /// What a step takes that no token has an influence on: a row a step [N, W] in the order of the drawing, computed once for a
    /// set of weights. Nil where there is nothing.
    func table(_ scope: ParameterScope) throws -> Tensor?
    /// The weights of its network as kernels for small ones read them, computed once for a set of weights; nil where it has none.
    func packed(_ scope: ParameterScope) throws -> Tensor?
    /// One step: the next x and, of a head that keeps velocities, this step's [n, C].
    func step(_ step: TokenStep, _ scope: ParameterScope) throws -> (x: Tensor, velocity: Tensor?)
    /// All steps in one launch. Only where there are several, and `packed` weights.
    func steps(_ drawing: TokenDrawing, _ scope: ParameterScope) throws -> Tensor
}

extension TokenHead {
    package var guidesByCondition: Bool { true }
    package var ofTokens: (any TokenHead)? { self }
    package var keepsVelocity: Bool { false }

    package func steps(_ drawing: TokenDrawing, _ scope: ParameterScope) throws -> Tensor {
        throw GraphError("head \(kind): has no launch that takes all steps; take one after the other")
    }

    /// Whole images come from a loop that draws their tokens.
    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        throw GraphError("head \(kind): draws single tokens, not whole images; take a stage whose loop asks for tokens")
    }
}

/// Random numbers of a row.
package struct TokenNoise: Sendable, Hashable {
    package enum Law: Sendable {
        /// Standard normal.
        case normal
        /// Uniform in [-1/2, 1/2).
        case uniform
    }
    package let law: Law
    package let width: Int

    package init(_ law: Law, width: Int) { (self.law, self.width) = (law, width) }

    /// So many rows [rows, width], new ones at each step of `clock`.
    package func draw(_ rows: Int, clock: Tensor, _ graph: Graph) throws -> Tensor {
        switch law {
        case .normal: try graph.randomNormal([rows, width], clock: clock)
        case .uniform: try centred(graph.randomUniform([rows, width], clock: clock), graph)
        }
    }

    /// So many rows of each image, [L images, rows, width]: the image's own numbers, whatever else is drawn.
    package func draw(_ rows: Int, images: Int, of source: NoiseSource, _ graph: Graph) throws -> Tensor {
        switch law {
        case .normal: try graph.randomNormal([rows, width], images: images, of: source)
        case .uniform: try centred(graph.randomUniform([rows, width], images: images, of: source), graph)
        }
    }

    /// Numbers of [0, 1) less a half.
    private func centred(_ x: Tensor, _ graph: Graph) throws -> Tensor {
        let half = try graph.constant("minus_half \(width)", [Float](repeating: -0.5, count: width), [width])
        return try graph.addPeriodic(x, half)
    }
}

/// What a token head finds in a step of a drawing.
package struct TokenStep {
    /// What the steps before have made of the start [n, C]; the start itself [n, start.width] in the first.
    package let x: Tensor
    /// What `embed` gives.
    package let embedded: Tensor
    /// The step's row [W] of `table`.
    package let row: Tensor?
    /// What `packed` gives.
    package let weights: Tensor?
    /// Standard normal [n, C], of a head that keeps velocities the one of the step before; nil where steps draw nothing.
    package let other: Tensor?
    /// [1]; nil without guidance.
    package let cfg: Tensor?
    /// Factor of what is random beside the start; 1 is the law that was learned.
    package let temperature: Float

    package init(
        x: Tensor, embedded: Tensor, row: Tensor? = nil, weights: Tensor? = nil, other: Tensor? = nil, cfg: Tensor? = nil,
        temperature: Float = 1
    ) {
        (self.x, self.embedded, self.row, self.weights) = (x, embedded, row, weights)
        (self.other, self.cfg, self.temperature) = (other, cfg, temperature)
    }
}

/// What a token head of several steps finds where it takes all of them at once.
package struct TokenDrawing {
    /// What the tokens start from [n, C].
    package let x: Tensor
    /// What `embed`, `table` and `packed` give.
    package let embedded: Tensor
    package let table: Tensor
    package let weights: Tensor
    /// Where the tokens stand in [images, R], [n] int32.
    package let places: Tensor
    /// The random numbers of the steps.
    package let noise: NoiseSource
    /// R.
    package let tokens: Int
    package let imagesPerLabel: Int
    /// [1]; nil without guidance.
    package let cfg: Tensor?
    package let temperature: Float
}
