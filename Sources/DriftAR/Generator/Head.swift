import DriftGPU

/// A condition and noise -> the tokens of an image, and the loss that trains this.
package protocol Head: Sendable {
    /// As its settings call it.
    var kind: String { get }
    /// Named as in the reference's state_dict.
    var declarations: [ParameterDeclaration] { get }
    /// What a training step has to bring.
    var needs: StepNeeds { get }
    /// How the entropy sets the deviation of the prior. Nil: the head takes no entropy, and no step computes one for it.
    var sigma: SigmaMap? { get }

    /// Images of a step and their loss.
    func loss(_ condition: Condition, _ step: StepInputs, _ scope: ParameterScope) throws -> HeadStep
    /// The images of a drawing [L G, R, C], and the head's own inputs of the graph. A head of several steps has all of them here.
    func draw(_ drawing: DrawingInputs, _ scope: ParameterScope) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input])
    /// The head as one that draws single tokens; nil where it draws whole images.
    var ofTokens: (any TokenHead)? { get }
    /// Whether a drawing with guidance needs the condition of no label.
    var guidesByCondition: Bool { get }

    /// Real images [B, R, C] taken apart and put together again; nil where the head does nothing of the kind.
    func reconstruct(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor?
    /// Whether it does.
    var reconstructs: Bool { get }

    /// What images are compared by, phi of each token: [B, R, C] -> [B, R, D]; nil where the head has nothing of the kind.
    func features(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor?
}

extension Head {
    package var sigma: SigmaMap? { nil }
    package var ofTokens: (any TokenHead)? { nil }
    package var guidesByCondition: Bool { false }
    package var reconstructs: Bool { false }
    package func reconstruct(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor? { nil }
    package func features(_ tokens: Tensor, _ scope: ParameterScope) throws -> Tensor? { nil }
}

extension Graph {
    /// What a head's nodes are counted as; see `part`.
    package static let head = "head"
    /// What a stage's nodes are counted as in the graphs that draw. There all others are the loop's; in training they are the stage's
    /// and the optimiser's.
    package static let stage = "stage"
}

/// What a head's loss takes of the data in each step, for each label.
package struct StepNeeds: Sendable, Equatable {
    /// Real images of the label.
    package var imagesPerLabel: Int
    /// Real images of any class.
    package var unconditionalImages = 0
    /// Whether a dropped label gets images of any class in place of its own.
    package var dropsImages = false
    /// Largest strength of guidance to draw; 1: none.
    package var largestStrength: Float = 1
    /// How tokens of the real images are hidden; nil where none are. The stage's need.
    package var masking: TokenMasking?
}

/// What a head makes of a training step.
package struct HeadStep {
    /// Parts of what is minimised, [1] each; their sum is the head's loss.
    package var losses: [LossTerm]
    package var watched: [LossTerm] = []
    /// Generated tokens [L G, R, C]; nil where the loss generates none.
    package var generated: Tensor?
    /// Inputs of its own that the host writes before each step.
    package var inputs: [StepInput] = []
}

/// An input of a step that belongs to a head, and its values. The tensor is one of the block `StepInputs.block`.
package struct StepInput: Sendable {
    package enum Values: Sendable {
        case floats([Float])
        case ints([Int32])
    }
    package let tensor: Tensor
    package let values: @Sendable (StepPlan) -> Values
}
