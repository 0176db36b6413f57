import DriftData
import DriftGPU

/// The graph of one part of a training step in one phase: forward, losses and gradients, which it leaves in flat buffers for
/// `UpdateGraph`. A step has one part, or several: their gradients are added here, and divided by their number there.
///
/// Images of a label stand together: with L labels and G images each, image b has label b / G.
public struct PartGraph {
    public let graph: Graph
    /// [L] (or [L G] when every image is encoded) int32.
    public let labels: Tensor
    /// [L] or [L G]; an entry below the drop probability trains the unconditional embedding instead of the label's.
    public let dropUniform: Tensor
    /// Rows of the data set in use, int32: of each label as many as the head needs, then the unconditional ones.
    public let indices: Tensor
    /// Seed and number of the part, two words each.
    public let clock: Tensor
    public let alpha: Tensor
    /// The head's own.
    package let headInputs: [StepInput]
    /// [1], 1 in the first part of a step; only where there are several.
    public let restart: Tensor?
    /// All of these, to be set and written before each run.
    public let inputs: InputBlock
    /// What is logged of the forward pass, in the order in which it is read; the total, `loss`, comes first.
    public let losses: [LossTerm]
    /// Generated tokens [L G, R, C]; nil where the loss generates none.
    public let generated: Tensor?
    /// What is logged, summed over the parts of a step.
    let lossSums: Storage

    /// Storage of the images [count, values] the run trains on.
    public static func imageStorage(count: Int, values: Int, form: ImageForm = .pixels) -> Storage {
        Storage("images", count: count * values, element: form == .bytes ? .uint8 : .float32)
    }

    /// - Parameters:
    ///   - imageCount: rows of the image storage, of which a step's indices choose.
    ///   - form: what a row holds.
    ///   - masked: tokens hidden of each image, for a stage that hides them.
    ///   - parts: parts of a step that one process takes.
    public init(
        _ model: Generator, _ configuration: Configuration, imageCount: Int, form: ImageForm = .pixels, isSecondPhase: Bool,
        masked: Int? = nil, parts: Int = 1
    ) throws {
        let graph = Graph()
        self.graph = graph
        let scope = ParameterScope(graph, model.layout)
        let encoded = model.stage.encodesEachImage ? configuration.batch : configuration.labelsInStep

        labels = try graph.input([encoded], .int32, block: StepInputs.block)
        dropUniform = try graph.input([encoded], block: StepInputs.block)
        clock = try graph.input([4], .uint32, block: StepInputs.block)
        alpha = try graph.input([1], block: StepInputs.block)
        indices = try graph.input([StepPlan.imageCount(model.needs, labels: configuration.labelsInStep)], .int32, block: StepInputs.block)
        let chosen = try Self.realImages(graph, configuration, imageCount: imageCount, form: form, indices: indices, clock: clock)
        let real = try graph.patchify(chosen, patch: configuration.data.patch)

        let step = StepInputs(
            labels: labels, dropUniform: dropUniform, clock: clock, alpha: alpha, real: real, isSecondPhase: isSecondPhase,
            labelCount: configuration.labelsInStep, masked: masked ?? model.stage.masking?.counts.lowerBound,
            needsEntropy: model.head.sigma != nil)
        let forward = try model.forward(step, scope)
        headInputs = forward.inputs
        generated = forward.generated
        let total = forward.total
        losses = [LossTerm("loss", total)] + forward.terms
        lossSums = UpdateGraph.lossSums(count: losses.reduce(0) { $0 + $1.value.count }, isSecondPhase: isSecondPhase)

        let trained = model.trained(isSecondPhase: isSecondPhase)
        try UpdateGraph.placeGradients(of: total, trained, model.layout, scope, recomputing: configuration.run.gradCheckpointing)
        let flat = model.layout.storage("gradients")
        restart = parts > 1 ? try graph.input([1], block: StepInputs.block) : nil
        inputs = graph.inputBlock(StepInputs.block)
        let logged = try graph.concat(losses.map(\.value), axis: 0)
        if let restart {
            let sum = try graph.stored([flat.count], in: UpdateGraph.gradientSum(model.layout))
            try graph.accumulate(graph.stored([flat.count], in: flat), into: sum, restart: restart)
            try graph.accumulate(logged, into: graph.stored([logged.count], in: lossSums), restart: restart)
        } else {
            try graph.place(logged, in: lossSums, at: 0)
        }
        for tensor in losses.map(\.value) + [generated].compactMap({ $0 }) { graph.output(tensor) }
    }

    /// The images that `indices` choose [n, C, H, W]; of moments, a new draw from their distribution at every step.
    private static func realImages(
        _ graph: Graph, _ configuration: Configuration, imageCount: Int, form: ImageForm, indices: Tensor, clock: Tensor
    ) throws -> Tensor {
        let shape = [indices.count, configuration.data.channels, configuration.data.height, configuration.data.width]
        let values = configuration.data.channels * configuration.data.height * configuration.data.width * (form.arePixels ? 1 : 2)
        let images = try graph.stored([imageCount, values], in: imageStorage(count: imageCount, values: values, form: form))
        switch form {
        case .bytes: return try graph.reshape(graph.pixelRows(images, indices), shape)
        case .pixels: return try graph.reshape(graph.gatherRows(images, indices), shape)
        case .moments(let scale):
            let moments = try graph.gatherRows(images, indices)
            return try graph.posterior(moments: moments, eps: graph.randomNormal(shape, clock: clock), factor: scale)
        }
    }
}
