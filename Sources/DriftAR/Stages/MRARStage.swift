import DriftFormats
import DriftGPU

/// TransDiff's stage over several images of a class, each made from those before it (multi-reference autoregression).
public struct MRARStageSettings: StageKind {
    package static let kind = "mrar"

    /// The encoder has twice as many blocks.
    public var encoderDepth = 2
    /// K, copies of the class embedding in front of the images.
    public var buffer = 4
    /// Images of a sequence; the last is what is drawn.
    public var images = 4
    /// Side of the square of tokens that the stage takes as one.
    public var fold = 2

    public init() {}

    package func makeStage(_ configuration: Configuration) -> any Stage { MRARStage(self, configuration) }

    package func loop(_ configuration: Configuration) -> String { counted(images, "image") + " of a class, the last kept" }

    package func validate(_ configuration: Configuration) throws {
        let (data, run) = (configuration.data, configuration.run)
        try require(encoderDepth > 0 && encoderDepth <= 256, "encoder-depth \(encoderDepth): take 1 to 256")
        try require(buffer > 0 && buffer <= 4096, "buffer \(buffer): take 1 to 4096")
        try require(images > 0 && images <= 16, "images \(images): take 1 to 16")
        let (rows, columns) = (data.height / data.patch, data.width / data.patch)
        try require(
            fold > 0 && fold <= rows && rows % fold == 0 && columns % fold == 0,
            "fold \(fold): must divide the \(rows) x \(columns) tokens of an image; take another with --set stage.fold=N")
        try require(
            run.samplesPerLabel % images == 0, "samples-per-label \(run.samplesPerLabel): sequences have \(images) images; take a multiple of that")
    }
}

extension StageSettings {
    /// The settings of TransDiff's stage over several images; nil where it is another. Setting them makes it the stage.
    public var mrar: MRARStageSettings? {
        get { own as? MRARStageSettings }
        set { if let newValue { self = StageSettings(newValue) } }
    }
}

/// TransDiff's encoder over a sequence of images of one class (arXiv 2506.09482, MRAR): rows of the class, those of a mask in the place of
/// the first image, then the images before the one that is made. An image's rows see the class, each other and the images before. A head
/// makes image i from all rows up to its own. Parameters have the names of the reference's state_dict.
package struct MRARStage: Stage {
    /// Sizes of the stage.
    package struct Shape: Sendable, Hashable {
        /// Tokens of an image: rows and columns of patches.
        package var rows: Int
        package var columns: Int
        /// C, values of a token: channels of a square of pixels of this side.
        package var channels: Int
        package var patch: Int
        /// D.
        package var embed: Int
        package var heads: Int
        /// Half the number of blocks.
        package var encoderDepth: Int
        /// K.
        package var buffer: Int
        package var images: Int
        package var fold: Int
        package var classes: Int
        package var mlpRatio: Float
        package var epsilon: Float

        package init(
            rows: Int, columns: Int, channels: Int, patch: Int, embed: Int, heads: Int, encoderDepth: Int, buffer: Int, images: Int,
            fold: Int, classes: Int, mlpRatio: Float, epsilon: Float
        ) {
            (self.rows, self.columns, self.channels, self.patch) = (rows, columns, channels, patch)
            (self.embed, self.heads, self.encoderDepth, self.buffer) = (embed, heads, encoderDepth, buffer)
            (self.images, self.fold, self.classes) = (images, fold, classes)
            (self.mlpRatio, self.epsilon) = (mlpRatio, epsilon)
        }

        /// R.
        package var tokens: Int { rows * columns }
        /// C.
        package var tokenWidth: Int { channels * patch * patch }
        /// g, rows that an image takes.
        package var group: Int { tokens / (fold * fold) }
        /// Values of such a row.
        package var groupWidth: Int { tokenWidth * fold * fold }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        /// Of attention weights and projections.
        package var dropout: Float = 0
        /// Part of the labels trained as unconditional.
        package var labelDrop: Float = 0
        /// G, real images of a label in a step.
        package var imagesPerLabel = 1

        package init() {}
    }

    package let shape: Shape
    package let training: Training
    package let declarations: [ParameterDeclaration]
    private let block: AttentionBlock

    package init(_ shape: Shape, _ training: Training = Training()) {
        (self.shape, self.training) = (shape, training)
        block = AttentionBlock(
            width: shape.embed, heads: shape.heads, hidden: Int(Float(shape.embed) * shape.mlpRatio), epsilon: shape.epsilon)
        declarations = Self.declare(shape, block)
    }

    /// The stage of these settings, beside what the other groups say.
    init(_ settings: MRARStageSettings, _ configuration: Configuration) {
        let (data, network) = (configuration.data, configuration.network)
        var training = Training()
        (training.dropout, training.labelDrop) = (network.dropout, configuration.run.labelDrop)
        training.imagesPerLabel = configuration.run.samplesPerLabel
        self.init(
            Shape(
                rows: data.height / data.patch, columns: data.width / data.patch, channels: data.channels, patch: data.patch,
                embed: network.embed, heads: network.heads, encoderDepth: settings.encoderDepth, buffer: settings.buffer,
                images: settings.images, fold: settings.fold, classes: data.classes, mlpRatio: network.mlpRatio,
                epsilon: network.layerNormEpsilon),
            training)
    }

    private static func declare(_ shape: Shape, _ block: AttentionBlock) -> [ParameterDeclaration] {
        let (width, content) = (shape.embed, shape.images * shape.group)
        func table(_ name: String, _ size: [Int]) -> ParameterDeclaration { .init(name, size, .normal(0.02)) }
        var list = [
            table("fake_latent", [1, width]), table("mask_token", [1, shape.group, width]),
            table("encoder_pos_embed_learned", [1, shape.buffer + content, width]),
            table("diffusion_pos_embed_learned", [1, content, width]), table("class_emb.weight", [shape.classes, width]),
        ]
        list += ParameterDeclaration.linear("z_proj", shape.groupWidth, width, .glorot)
        list += ParameterDeclaration.layerNorm("z_proj_ln", width)
        for index in 0..<(2 * shape.encoderDepth) { list += block.declarations("encoder_blocks.\(index).", weight: .glorot) }
        return list + ParameterDeclaration.layerNorm("encoder_norm", width)
    }

    package var kind: String { MRARStageSettings.kind }
    package func label(_ label: Int, isDropped: Bool) -> Int32 { Int32(label) }

    // MARK: Encoder

    /// Class embeddings [S, D]; a label whose `uniform` is below `dropProbability` gets `fake_latent`.
    package func embed(_ labels: Tensor, uniform: Tensor, dropProbability: Float, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.embedding(
            scope.parameter("class_emb.weight"), labels: labels, fake: scope.parameter("fake_latent"), uniform: uniform,
            dropProbability: dropProbability)
    }

    /// Tokens of images [S, R, C] -> the rows that the stage takes them as [S, g, fold^2 C].
    package func fold(_ tokens: Tensor, _ graph: Graph) throws -> Tensor {
        let image = try graph.unpatchify(
            tokens, channels: shape.channels, height: shape.rows * shape.patch, width: shape.columns * shape.patch, patch: shape.patch)
        return try graph.patchify(image, patch: shape.patch * shape.fold)
    }

    /// Class embeddings [S, D] and the tokens [S, R, C] of i images -> rows [S, (i + 1) g, D] for those and the next. Without positions.
    package func encode(
        _ embedding: Tensor, after earlier: [Tensor], _ scope: ParameterScope, dropout: Dropout? = nil
    ) throws -> Tensor {
        let graph = scope.graph
        let (sequences, width, buffer, group) = (embedding.shape[0], shape.embed, shape.buffer, shape.group)
        let front = try graph.reshape(graph.repeatEach(embedding, times: buffer), [sequences, buffer, width])
        let mask = try graph.reshape(scope.parameter("mask_token"), [1, group * width])
        let first = try graph.reshape(graph.repeatEach(mask, times: sequences), [sequences, group, width])
        let known = try earlier.map { try scope.linear(fold($0, graph), "z_proj") }
        let count = buffer + (earlier.count + 1) * group
        let positions = try graph.slice(scope.parameter("encoder_pos_embed_learned"), axis: 1, 0..<count)
        var x = try graph.addPeriodic(graph.concat([front, first] + known, axis: 1), positions)
        x = try scope.layerNorm(x, "z_proj_ln", epsilon: shape.epsilon)
        for index in 0..<(2 * shape.encoderDepth) {
            x = try block(
                x, scope.scope("encoder_blocks.\(index)"), mask: .groups(prefix: buffer, block: group), dropout: dropout
            ).output
        }
        x = try scope.layerNorm(x, "encoder_norm", epsilon: shape.epsilon)
        return try graph.slice(x, axis: 1, buffer..<count)
    }

    /// Rows of `encode` -> z: with the positions that a head knows them by.
    package func place(_ rows: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let positions = try scope.graph.slice(scope.parameter("diffusion_pos_embed_learned"), axis: 1, 0..<rows.shape[1])
        return try scope.graph.addPeriodic(rows, positions)
    }

    // MARK: Training

    /// The images of a label are sequences, one after the other.
    package func condition(_ step: StepInputs, _ scope: ParameterScope) throws -> Condition {
        let graph = scope.graph
        let (images, sequences) = (shape.images, step.labelCount * training.imagesPerLabel / shape.images)
        let drop = training.labelDrop
        let embedding = try embed(step.labels, uniform: step.dropUniform, dropProbability: drop, scope)
        let spread = try graph.reshape(graph.repeatEach(embedding, times: sequences / step.labelCount), [sequences, shape.embed])
        let all = try graph.reshape(step.real, [sequences, images, shape.tokens * shape.tokenWidth])
        let earlier = try (0..<(images - 1)).map { image in
            try graph.reshape(graph.slice(all, axis: 1, image..<(image + 1)), [sequences, shape.tokens, shape.tokenWidth])
        }
        let rows = try encode(spread, after: earlier, scope, dropout: step.isSecondPhase ? nil : step.dropout(training.dropout))
        var condition = Condition(labels: step.labels, z: try place(rows, scope))
        condition.reach = (0..<images).map { ($0 + 1) * shape.group }
        return condition
    }

    // MARK: Drawing

    /// That of the first image.
    package func condition(labels: Tensor, drop: Tensor, _ scope: ParameterScope) throws -> Condition {
        let embedding = try embed(labels, uniform: drop, dropProbability: 0.5, scope)
        return Condition(labels: labels, z: try place(encode(embedding, after: [], scope), scope))
    }

    package func loop(_ head: any Head, _ context: SamplingContext) -> (any GenerationLoop)? {
        (head as? any SteppedHead).map { MultiReferenceRounds(self, $0, context) }
    }

    package func graphs(
        ofLoopWith head: any Head, _ batches: [DrawingGraph.Size], _ weights: StoredWeights
    ) throws -> [Graph]? {
        guard let head = head as? any SteppedHead else { return nil }
        return try batches.flatMap { size in
            try MultiReferenceRounds.steps(self, head, weights, size, isGuided: false).flatMap(\.all)
        }
    }
}
