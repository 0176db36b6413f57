import DriftFormats
import DriftGPU

/// A generator of images: a stage, which makes a condition of what is known, and a head, which draws images from that.
public struct Generator: Sendable {
    package let stage: any Stage
    package let head: any Head
    public let classes: Int
    /// R, tokens of an image.
    public let tokens: Int
    /// C, values of a token.
    public let tokenWidth: Int
    /// The stage's, then the head's.
    public let declarations: [ParameterDeclaration]
    /// Where the declared parameters lie in the flat buffers.
    public let layout: ParameterLayout

    /// Throws a line where the two do not go together.
    package init(_ stage: any Stage, _ head: any Head, classes: Int, tokens: Int, tokenWidth: Int) throws {
        try Self.requirePair(stage.kind, head.kind)
        (self.stage, self.head) = (stage, head)
        (self.classes, self.tokens, self.tokenWidth) = (classes, tokens, tokenWidth)
        declarations = stage.declarations + head.declarations
        layout = try ParameterLayout(
            declarations.map { ($0.name, $0.shape) }, undecayed: Set(declarations.filter { !$0.mayDecay }.map(\.name)))
    }

    /// Throws a line for a stage and a head that do not go together.
    static func requirePair(_ stage: String, _ head: String) throws {
        let stages = HeadSettings.stages(of: head)
        guard stages.contains(stage) else {
            let others = HeadSettings.kinds.filter { HeadSettings.stages(of: $0).contains(stage) }
            throw ConfigurationError(
                "head \(head): does not draw from the stage \(stage); take the stage \(stages.joined(separator: " or ")), or the head \(others.joined(separator: " or "))")
        }
    }

    /// What a training step has to bring.
    package var needs: StepNeeds {
        var needs = head.needs
        needs.masking = stage.masking
        return needs
    }

    /// The parameters that a phase trains.
    public func trained(isSecondPhase: Bool) -> [ParameterLayout.Entry] {
        declarations.filter { $0.training == .always || ($0.training == .firstPhase && !isSecondPhase) }
            .compactMap { layout[$0.name] }
    }

    /// Forward pass and losses of a training step, in the graph of `scope`: alpha times the stage's losses and 1 - alpha times the
    /// head's, or the head's alone where the stage has none.
    func forward(_ step: StepInputs, _ scope: ParameterScope) throws -> StepLosses {
        let graph = scope.graph
        let condition = try stage.condition(step, scope)
        let made = try graph.part(Graph.head) { try head.loss(condition, step, scope) }
        let own = step.isSecondPhase ? [] : try stage.losses(of: condition, step, scope)
        let losses = try made.losses + stage.penalties(condition, head: head, step, scope)
        var total = try graph.sum(losses)
        if !own.isEmpty {
            total = try graph.add(
                graph.scale(graph.sum(own), by: step.alpha), graph.scale(total, by: step.alpha, factor: -1, offset: 1))
        }
        return StepLosses(
            total: total, terms: losses + own + made.watched + (try stage.watched(condition, scope)),
            generated: made.generated, inputs: condition.inputs + made.inputs)
    }
}

extension Graph {
    fileprivate func sum(_ terms: [LossTerm]) throws -> Tensor {
        guard let first = terms.first else { throw GraphError("training: there is no loss") }
        return try terms.dropFirst().reduce(first.value) { try add($0, $1.value) }
    }
}

/// What stage and head find in the graph of a training step. L labels have G images each, which stand together.
package struct StepInputs: Sendable {
    /// [L] int32, or [L G] where every image is encoded.
    package let labels: Tensor
    /// Of the labels' shape; an entry below the drop probability makes its label the unconditional one.
    package let dropUniform: Tensor
    /// Seed and number of the step [4] uint32: what operations that draw random numbers take.
    package let clock: Tensor
    /// [1], weight of the stage's losses.
    package let alpha: Tensor
    /// Real images as tokens [n, R, C]: label by label those that the head needs of it, then label by label the unconditional ones.
    package let real: Tensor
    package let isSecondPhase: Bool
    /// L, labels of the step.
    package let labelCount: Int
    /// Tokens that are hidden of each image; nil where none are.
    package var masked: Int?
    /// Whether the head takes the entropy.
    package var needsEntropy = true

    /// The block of what the host writes before each step.
    package static let block = "step_inputs"

    /// Dropout with that probability, drawn anew in each step; nil for none.
    func dropout(_ probability: Float) -> Dropout? {
        probability > 0 ? Dropout(probability: probability, clock: clock) : nil
    }
}

/// What a generator's forward pass gives.
struct StepLosses {
    /// What is minimised [1].
    let total: Tensor
    /// The parts of the total and what else is worth watching, in the order in which it is shown.
    let terms: [LossTerm]
    /// Generated tokens [L G, R, C]; nil where the loss generates none.
    let generated: Tensor?
    let inputs: [StepInput]
}

extension Configuration {
    /// The generator of these settings.
    public func makeGenerator() throws -> Generator {
        let made = stage.own.makeStage(self)
        guard !made.hasLosses || stage.own.phases(steps: run.steps) != nil else {
            throw GraphError("stage \(made.kind): has losses and no phases that weigh them")
        }
        return try Generator(
            made, head.own.makeHead(self), classes: data.classes, tokens: data.tokens,
            tokenWidth: data.tokenWidth)
    }
}
