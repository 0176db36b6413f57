import DriftData
import DriftGPU

/// The graph of one training step of a model in one phase: forward, losses, gradients, AdamW and EMA. Where gradients are
/// accumulated it is the graph of one part of a step, which ends with their mean; `AccumulatedStep` does the rest.
///
/// Images of a label stand together: with L labels and G images each, image b has label b / G.
public struct TrainingGraph {
    public let graph: Graph
    /// [L] (or [L G] when every image is encoded) int32.
    public let labels: Tensor
    /// [L] or [L G]; an entry below the drop probability trains the unconditional embedding instead of the label's.
    public let dropUniform: Tensor
    /// Rows of the data set in use: [L P] int32 in `samples` groups (P images each label is drawn to), [L G] in `tokens`.
    public let indices: Tensor
    public let clock: Tensor
    public let learningRate: Tensor
    public let alpha: Tensor
    /// [L G] int32, where a ring of real images asks for the label of each and `labels` has one for each group.
    public let imageLabels: Tensor?
    /// [1], 0 while the ring of generated features is empty; only with extra negatives.
    public let negativeWeight: Tensor?
    /// Only where the model takes the strength of guidance as an input.
    public let guidance: GuidanceInputs?
    /// [1], 1 in the first part of a step; only where gradients are accumulated.
    public let restart: Tensor?
    /// All of these, to be set and written before each run.
    public let inputs: InputBlock
    /// What is logged of the forward pass, in the order in which it is read; the total, `loss`, comes first.
    public let losses: [LossTerm]
    /// Whether `alpha` weighs the losses.
    public let usesAlpha: Bool
    /// Norm, clip coefficient, 1 when applied [3]; nil where the update is a graph of its own.
    public let norm: Tensor?
    /// Generated tokens [L G, R, C].
    public let generated: Tensor
    /// The sums of what is logged, over the parts of a step; without parts nobody uses it.
    let lossSums: Storage

    /// Storages of a training run besides the flat parameter buffers.
    public static let counters = Storage("counters", count: 2, element: .uint32)
    /// The block of what the host writes before each step.
    static let inputBlock = "step_inputs"

    /// Storage of the images [count, values] the run trains on.
    public static func imageStorage(count: Int, values: Int) -> Storage { Storage("images", count: count * values) }

    /// - Parameters:
    ///   - imageCount: rows of the image storage, of which a step's indices choose.
    ///   - form: what a row holds.
    public init(
        _ model: any ImageModel, _ configuration: Configuration, imageCount: Int, form: ImageForm = .pixels, isSecondPhase: Bool
    ) throws {
        let graph = Graph()
        self.graph = graph
        let scope = ParameterScope(graph, model.layout)
        let encoded = configuration.encodesOnce ? configuration.labelsInStep : configuration.batch

        labels = try graph.input([encoded], .int32, block: Self.inputBlock)
        dropUniform = try graph.input([encoded], block: Self.inputBlock)
        clock = try graph.input([4], .uint32, block: Self.inputBlock)
        learningRate = try graph.input([1], block: Self.inputBlock)
        alpha = try graph.input([1], block: Self.inputBlock)
        indices = try graph.input([StepDraw.imageCount(configuration)], .int32, block: Self.inputBlock)
        let chosen = try Self.realImages(graph, configuration, imageCount: imageCount, form: form, indices: indices, clock: clock)
        let real = try graph.patchify(chosen, patch: configuration.patch)

        let step = StepInputs(
            labels: labels, dropUniform: dropUniform, clock: clock, alpha: alpha, real: real, isSecondPhase: isSecondPhase)
        let forward = try model.forward(step, scope, configuration)
        negativeWeight = forward.negativeWeight
        guidance = forward.guidance
        imageLabels = forward.imageLabels
        generated = forward.generated
        usesAlpha = forward.usesAlpha
        let total = forward.total
        losses = [LossTerm("loss", total)] + forward.terms
        lossSums = AccumulatedStep.lossSums(count: losses.reduce(0) { $0 + $1.value.count }, isSecondPhase: isSecondPhase)

        let trained = model.trained(isSecondPhase: isSecondPhase)
        let gradients = try graph.gradients(
            of: total, withRespectTo: trained.map { try scope.parameter($0.name) },
            recomputing: configuration.gradCheckpointing)
        let flat = model.layout.storage("gradients")
        for (entry, gradient) in zip(trained, gradients) {
            if let gradient { try graph.place(gradient, in: flat, at: entry.offset) }
        }
        let isAccumulated = configuration.accumulate > 1
        restart = isAccumulated ? try graph.input([1], block: Self.inputBlock) : nil
        inputs = graph.inputBlock(Self.inputBlock)
        norm = isAccumulated
            ? nil
            : try Self.optimize(
                graph, model, configuration, active: Set(trained.map(\.name)), loss: total,
                learningRate: learningRate, flagsName: Self.flagsName(isSecondPhase: isSecondPhase))
        if let restart {
            try AccumulatedStep.add(
                to: graph, gradients: graph.stored([model.layout.count], in: flat), losses: losses, sums: lossSums, model.layout,
                restart: restart)
        }
        for tensor in losses.map(\.value) + [norm, generated].compactMap({ $0 }) { graph.output(tensor) }
    }

    /// The images that `indices` choose [n, C, H, W]; of moments, a new draw from their distribution at every step.
    private static func realImages(
        _ graph: Graph, _ configuration: Configuration, imageCount: Int, form: ImageForm, indices: Tensor, clock: Tensor
    ) throws -> Tensor {
        let shape = [indices.count, configuration.channels, configuration.height, configuration.width]
        let values = configuration.channels * configuration.height * configuration.width * (form == .pixels ? 1 : 2)
        let images = try graph.stored([imageCount, values], in: imageStorage(count: imageCount, values: values))
        let chosen = try graph.embedding(images, labels: indices)
        guard case .moments(let scale) = form else { return try graph.reshape(chosen, shape) }
        return try graph.posterior(moments: chosen, eps: graph.randomNormal(shape, clock: clock), factor: scale)
    }

    /// Name of the constant that says which blocks a phase trains.
    static func flagsName(isSecondPhase: Bool) -> String { isSecondPhase ? "flags_phase2" : "flags_phase1" }

    /// AdamW with clipping and EMA over the flat storages. Returns [3]: norm, clip coefficient, 1 when applied.
    package static func optimize(
        _ graph: Graph, _ model: any ImageModel, _ configuration: Configuration, active: Set<String>, loss: Tensor,
        learningRate: Tensor, flagsName: String, gradients: String = "gradients"
    ) throws -> Tensor {
        var settings = AdamW()
        settings.beta1 = configuration.beta1
        settings.beta2 = configuration.beta2
        settings.epsilon = configuration.adamEpsilon
        settings.weightDecay = configuration.weightDecay
        settings.maxNorm = configuration.clip
        settings.averageDecay = configuration.ema
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
