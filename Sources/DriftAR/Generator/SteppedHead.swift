import DriftGPU

/// A head that draws whole images in several steps, from noise to tokens, as a loop takes them: `table` once for a set of weights, `common`
/// once for a condition, then a `step` for each row of the table. With guidance conditions are 2 L, those of no label behind the others.
package protocol SteppedHead: Head {
    /// N.
    var steps: Int { get }
    /// What each step takes whatever the image: a row a step [N, W].
    func table(_ scope: ParameterScope) throws -> Tensor
    /// What all steps have in common of z [L, R, D].
    func common(z: Tensor, _ scope: ParameterScope) throws -> [Tensor]
    /// Whether a step takes the velocity of the step before, in the noise's place, and gives its own: then nothing is random.
    var keepsVelocity: Bool { get }
    /// What the steps before have made of the noise [B, R, C] -> what this one does. `row` [W]: the step's of `table`; `other`: standard
    /// normal [B, R, C], or the velocity of the step before, in the first zeros; `cfg`: strength of guidance [1], nil for none.
    func step(
        _ x: Tensor, common: [Tensor], row: Tensor, other: Tensor, cfg: Tensor?, _ scope: ParameterScope
    ) throws -> (x: Tensor, velocity: Tensor?)
}

extension SteppedHead {
    package var guidesByCondition: Bool { true }

    /// The steps come from a loop.
    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        throw GraphError("head \(kind): draws in \(steps) steps, not in one graph")
    }
}
