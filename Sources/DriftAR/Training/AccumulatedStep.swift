import DriftGPU

/// The update of a step whose gradients come from several parts: AdamW and EMA on their mean.
///
/// Each part adds its gradient and its losses to stored sums; the update divides these by the number of parts, once, before
/// anything else. So the mean has the bits of any sum in the order of the parts, and clipping and the check for what is not
/// finite see the mean. (The reference adds the parts without dividing: its effective learning rate and its clipping then
/// depend on their number.) The sums begin anew in every step, so no checkpoint holds them.
public struct AccumulatedStep {
    public let graph: Graph
    public let learningRate: Tensor
    /// Norm of the mean gradient, clip coefficient, 1 when applied [3].
    public let norm: Tensor

    /// Flat buffer of the summed gradients, and after the update of their mean.
    static let gradientName = "gradient_mean"

    /// What is logged, summed, and after the update its mean; the total loss comes first. The second phase logs less.
    static func lossSums(count: Int, isSecondPhase: Bool) -> Storage {
        Storage(isSecondPhase ? "loss_mean_phase2" : "loss_mean_phase1", count: count)
    }

    /// The update of a step whose parts are `part`.
    public init(_ model: any ImageModel, _ configuration: Configuration, part: TrainingGraph, isSecondPhase: Bool) throws {
        graph = Graph()
        learningRate = try graph.input("learning_rate", [1])
        for storage in [model.layout.storage(Self.gradientName), part.lossSums] {
            let sum = try graph.stored([storage.count], in: storage)
            try graph.place(graph.scale(sum, by: 1 / Float(configuration.accumulate)), in: storage, at: 0)
        }
        norm = try TrainingGraph.optimize(
            graph, model, configuration, active: Set(model.trained(isSecondPhase: isSecondPhase).map(\.name)),
            loss: graph.stored([1], in: part.lossSums), learningRate: learningRate,
            flagsName: TrainingGraph.flagsName(isSecondPhase: isSecondPhase), gradients: Self.gradientName)
        graph.output(norm)
    }

    /// Ends the graph of a part: adds its gradients and losses to the sums.
    static func add(
        to graph: Graph, gradients: Tensor, losses: [LossTerm], sums: Storage, _ layout: ParameterLayout, restart: Tensor
    ) throws {
        try graph.accumulate(
            gradients, into: graph.stored([layout.count], in: layout.storage(gradientName)), restart: restart)
        let logged = try graph.concat(losses.map(\.value), axis: 0)
        try graph.accumulate(logged, into: graph.stored([logged.count], in: sums), restart: restart)
    }
}
