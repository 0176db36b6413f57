import DriftGPU

/// The update that ends a training step: AdamW and EMA on the mean of the gradients of its parts.
///
/// Several parts add their gradients and losses to stored sums (`PartSums`), and several processes to each other's; the update divides
/// these by the number of all parts, once, before anything else. So clipping and the check for what is not finite see the mean. (The
/// reference adds the parts without dividing: its effective learning rate and its clipping then depend on their number.) The sums
/// begin anew in every step, so no checkpoint holds them.
public struct UpdateGraph {
    public let graph: Graph
    public let learningRate: Tensor
    /// Norm of the mean gradient, clip coefficient, 1 when applied [3].
    public let norm: Tensor
    /// What the parts of this process leave for the update: the flat gradients, and what is logged with the total loss first.
    package let exchanged: [Storage]
    /// Where each part leaves or adds them.
    let summed: [Storage]

    /// Steps that counted and steps that were skipped.
    public static let counters = Storage("counters", count: 2, element: .uint32, lifetime: .checkpointed)

    /// Name of the flat buffer of the summed gradients, and after the update of their mean.
    static let gradientSumName = "gradient_mean"
    static func gradientSum(_ layout: ParameterLayout) -> Storage { layout.storage(gradientSumName) }

    /// Leaves the gradients of `loss` by these parameters in the flat buffer `gradients`.
    static func placeGradients(
        of loss: Tensor, _ entries: [ParameterLayout.Entry], _ layout: ParameterLayout, _ scope: ParameterScope, recomputing: Bool = false
    ) throws {
        let graph = scope.graph
        let gradients = try graph.gradients(
            of: loss, withRespectTo: entries.map { try scope.parameter($0.name) }, recomputing: recomputing)
        for (entry, gradient) in zip(entries, gradients) {
            if let gradient { try graph.place(gradient, in: layout.storage("gradients"), at: entry.offset) }
        }
    }

    /// What is logged, summed, and after the update its mean; the total loss comes first. The second phase logs less.
    static func lossSums(count: Int, isSecondPhase: Bool) -> Storage {
        Storage(isSecondPhase ? "loss_mean_phase2" : "loss_mean_phase1", count: count, lifetime: .run)
    }

    /// The update of a step whose parts are `part`, `share.parts` in this process.
    package init(_ model: Generator, _ configuration: Configuration, part: PartGraph, _ share: StepShare, isSecondPhase: Bool) throws {
        graph = Graph()
        learningRate = try graph.input("learning_rate", [1])
        summed = [share.parts > 1 ? Self.gradientSum(model.layout) : model.layout.storage("gradients"), part.lossSums]
        let exchanged = summed.map { PartSums.top($0, parts: share.parts) }
        self.exchanged = exchanged
        if share.total > 1 {
            for storage in exchanged {
                let sum = try graph.stored([storage.count], in: storage)
                try graph.place(graph.scale(sum, by: 1 / Float(share.total)), in: storage, at: 0)
            }
        }
        norm = try Self.optimize(
            graph, model, configuration, active: Set(model.trained(isSecondPhase: isSecondPhase).map(\.name)),
            loss: graph.stored([1], in: exchanged[1]), learningRate: learningRate,
            flagsName: isSecondPhase ? "flags_phase2" : "flags_phase1", gradients: exchanged[0].name)
        graph.output(norm)
    }

    /// AdamW with clipping and EMA over the flat storages. Returns [3]: norm, clip coefficient, 1 when applied.
    package static func optimize(
        _ graph: Graph, _ model: Generator, _ configuration: Configuration, active: Set<String>, loss: Tensor,
        learningRate: Tensor, flagsName: String, gradients: String = "gradients"
    ) throws -> Tensor {
        var settings = AdamW()
        settings.beta1 = configuration.optimizer.beta1
        settings.beta2 = configuration.optimizer.beta2
        settings.epsilon = configuration.optimizer.adamEpsilon
        settings.weightDecay = configuration.optimizer.weightDecay
        settings.maxNorm = configuration.optimizer.clip
        settings.averageDecay = configuration.optimizer.ema
        return try optimize(
            graph, model.layout, settings, active: active, loss: loss, learningRate: learningRate, flagsName: flagsName,
            gradients: gradients)
    }

    /// The same for any parameters and settings.
    @discardableResult
    static func optimize(
        _ graph: Graph, _ layout: ParameterLayout, _ settings: AdamW, active: Set<String>, loss: Tensor,
        learningRate: Tensor, flagsName: String, gradients: String = "gradients"
    ) throws -> Tensor {
        func flat(_ name: String) throws -> Tensor { try graph.stored([layout.count], in: layout.storage(name)) }
        let flags = layout.flags { active.contains($0.name) }
        return try graph.step(
            settings,
            AdamW.State(
                parameters: flat("parameters"), gradient: flat(gradients), firstMoment: flat("moment1"),
                secondMoment: flat("moment2"), average: flat("ema"),
                flags: graph.constant(flagsName, flags, [flags.count]),
                counters: graph.stored([2], in: counters), learningRate: learningRate),
            loss: loss)
    }
}
