import DriftGPU

/// What is known of an image -> the condition a head draws it from, and the losses that train this.
package protocol Stage: Sendable {
    /// As its settings call it.
    var kind: String { get }
    /// Named as in the reference's state_dict. The head's follow them.
    var declarations: [ParameterDeclaration] { get }
    /// Whether there is a condition for each image of a step; else there is one for each of its labels.
    var encodesEachImage: Bool { get }
    /// Whether a label's condition has an entropy and a draft proposes it, which the speculative loop needs. False for stages that compute an
    /// entropy for their head alone.
    var hasEntropy: Bool { get }

    /// The id written to `StepInputs.labels`. A stage may use a separate id for labels dropped for guidance.
    func label(_ label: Int, isDropped: Bool) -> Int32

    /// How training hides tokens of the real images from the stage; nil where it sees none of them.
    var masking: TokenMasking? { get }

    /// Whether alpha weighs losses of the stage, in the first phase.
    var hasLosses: Bool { get }
    /// The condition of a training step.
    func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition
    /// The stage's own losses, to be weighted with alpha against the head's; none in the second phase. Called after the head's.
    func losses(of condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> [LossTerm]
    /// Losses that add to those of `head` with a weight of their own, in every phase.
    func penalties(_ condition: Condition, head: any Head, _ step: StepInputs, _ scope: ParameterScope) throws -> [LossTerm]
    /// What else is worth watching.
    func watched(_ condition: Condition, _ scope: ParameterScope) throws -> [LossTerm]

    /// The condition of labels [L] int32 that images are drawn of. A label whose `drop` [L] is below 1/2 is the unconditional one.
    func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition
    /// Keeps conditions between drawings; nil where there is nothing to compute.
    func encoder(_ context: SamplingContext) -> LabelEncoder?
    /// The speculative loop over conditions; nil where there is no draft.
    func speculation(_ context: SamplingContext) -> SpeculativeLoop?
    /// The encoder's graphs for batches of these sizes.
    func graphs(_ batches: [DrawingGraph.Size], _ weights: StoredWeights) throws -> [Graph]
    /// The loop in which a head's images are drawn from the stage's conditions; nil where an image is drawn at once.
    func loop(_ head: any Head, _ context: SamplingContext) -> (any GenerationLoop)?
    /// That loop's graphs for batches without guidance; nil where there is no such loop.
    func graphs(ofLoopWith head: any Head, _ batches: [DrawingGraph.Size], _ weights: StoredWeights) throws -> [Graph]?
    /// The speculative loop's graphs for a batch of this size.
    func speculativeGraphs(_ size: DrawingGraph.Size, _ settings: Speculation, _ weights: StoredWeights) throws -> [Graph]
    /// Where conditions lie between the graphs; nil where the labels alone are the condition.
    func storage(labels: Int) -> ConditionStorage?
    /// What to analyse of labels; nil where there is no entropy. `sigma`: the head's.
    func probe(_ context: SamplingContext, sigma: SigmaMap?) -> LabelProbe?
}

extension Stage {
    package var encodesEachImage: Bool { false }
    package var hasEntropy: Bool { false }
    package var masking: TokenMasking? { nil }
    package var hasLosses: Bool { false }
    package func losses(of condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> [LossTerm] { [] }
    package func penalties(
        _ condition: Condition, head: any Head, _ step: StepInputs, _ scope: ParameterScope
    ) throws -> [LossTerm] { [] }
    package func watched(_ condition: Condition, _ scope: ParameterScope) throws -> [LossTerm] {
        try condition.entropy.map { [LossTerm("entropy", try scope.graph.mean($0))] } ?? []
    }
    package func encoder(_ context: SamplingContext) -> LabelEncoder? { nil }
    package func speculation(_ context: SamplingContext) -> SpeculativeLoop? { nil }
    package func loop(_ head: any Head, _ context: SamplingContext) -> (any GenerationLoop)? { nil }
    package func graphs(
        ofLoopWith head: any Head, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph]? { nil }
    package func graphs(_ batches: [DrawingGraph.Size], _ weights: StoredWeights) throws -> [Graph] { [] }
    package func speculativeGraphs(
        _ size: DrawingGraph.Size, _ settings: Speculation, _ weights: StoredWeights
    ) throws -> [Graph] { [] }
    package func storage(labels: Int) -> ConditionStorage? { nil }
    package func probe(_ context: SamplingContext, sigma: SigmaMap?) -> LabelProbe? { nil }
}

/// What a head draws images from. L labels, or as many as images where each is encoded. A stage that asks for some tokens of each
/// image has M rows of an image where others have R.
package struct Condition: Sendable {
    /// [L] int32, a dropped one by the stage's id for it; nil where z was stored by an earlier graph.
    package var labels: Tensor?
    /// [L, R, D]; nil where the label is all that is known.
    package var z: Tensor?
    /// [L, R] in [0, 1].
    package var entropy: Tensor?
    /// Of a training step: the real tokens [L, M, C] in the place of those that the rows of z are for; nil where they are all.
    package var targets: Tensor?
    /// Of a training step on sequences of images: how many rows of z each image of a sequence is made from; nil where every image is
    /// made from all.
    package var reach: [Int]?
    /// Inputs of a training step that belong to the stage.
    package var inputs: [StepInput] = []
}
