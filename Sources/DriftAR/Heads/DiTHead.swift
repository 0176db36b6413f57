import DriftGPU
import Foundation

/// DiT as a generator of one pass.
public struct DiTHeadSettings: HeadKind {
    package static let kind = "dit"
    package static let stages = ["none"]
    package static let takesEncoder = true

    /// Blocks.
    public var depth = 3
    /// Standard deviation of the last layer's weights at the start.
    public var lastLayerDeviation: Float = 0.1
    /// Rotary position embedding (RoPE) instead of a learned one.
    public var rope = false
    /// Divides each head of queries and keys by its root mean square.
    public var qkNorm = false
    /// An MLP with a gate, silu(a) b, of about as many weights.
    public var swiglu = false
    /// Largest strength of guidance trained for, drawn for each label; 1: none.
    public var guidanceMax: Float = 1

    public init() {}

    package func makeHead(_ configuration: Configuration) -> any Head { DiTHead(self, configuration) }

    package func validate(_ configuration: Configuration) throws {
        let (network, loss) = (configuration.network, configuration.loss)
        try require(depth > 0 && depth <= 256, "decoder-depth \(depth): take 1 to 256")
        try require(lastLayerDeviation >= 0 && lastLayerDeviation.isFinite, "last-layer-deviation \(lastLayerDeviation): must be 0 or more")
        try require(guidanceMax >= 1 && guidanceMax <= 1000, "guidance-max \(guidanceMax): take 1 (none) to 1000")
        try require(loss.groups == .samples, "drift-groups \(loss.groups.rawValue): the head dit takes samples")
        try require(!loss.features.havePhi, "features \(loss.features.rawValue): the head dit has no phi; take pixels or a feature encoder")
        try require(network.dropout == 0, "dropout \(network.dropout): the head dit has none; take 0")
        for (name, isOn) in [("rope", rope), ("qk-norm", qkNorm)] where isOn {
            try require(
                network.headSize % 2 == 0,
                "\(name): heads of an even size are needed, not embed \(network.embed) / heads \(network.heads)")
        }
        try require(
            guidanceMax == 1 || loss.negatives > 0,
            "guidance-max \(guidanceMax): guidance needs real images among the negatives; set --negatives")
    }
}

extension HeadSettings {
    /// The settings of DiT; nil where it is another. Setting them makes it the head.
    public var dit: DiTHeadSettings? {
        get { own as? DiTHeadSettings }
        set { if let newValue { self = HeadSettings(newValue) } }
    }
}

/// The head that is DiT, drawing in one pass (arXiv 2602.04770): noise tokens to image tokens, conditioned on a class and on the
/// strength of guidance.
package struct DiTHead: Head {
    /// Sizes of the model.
    package struct Shape: Sendable, Hashable {
        /// Tokens of an image: rows and columns of patches.
        package var rows: Int
        package var columns: Int
        /// C, values of a token.
        package var tokenWidth: Int
        /// D.
        package var embed: Int
        package var heads: Int
        package var depth: Int
        package var classes: Int
        package var mlpRatio: Float
        package var epsilon: Float
        /// Standard deviation of the last layer's weights at the start. DiT takes 0: then all images begin equal, feel the same
        /// force and stay together.
        package var lastLayerDeviation: Float
        /// RoPE beside the position embedding: turned queries and keys tell how far tokens are apart, but not where they are,
        /// and tokens of noise have nothing else to know it by.
        package var hasRotary = false
        package var normsQueryKey = false
        package var hasSwiGLU = false

        /// R.
        package var tokens: Int { rows * columns }

        package init(
            rows: Int, columns: Int, tokenWidth: Int, embed: Int, heads: Int, depth: Int, classes: Int,
            mlpRatio: Float = 4, epsilon: Float = 1e-6, lastLayerDeviation: Float = 0.1
        ) {
            self.rows = rows
            self.columns = columns
            self.tokenWidth = tokenWidth
            self.embed = embed
            self.heads = heads
            self.depth = depth
            self.classes = classes
            self.mlpRatio = mlpRatio
            self.epsilon = epsilon
            self.lastLayerDeviation = lastLayerDeviation
        }
    }

    /// What training adds to the sizes.
    package struct Training: Sendable {
        package var loss: LossSettings
        /// G, generated images of a label in a step.
        package var samplesPerLabel: Int
        package var guidanceMax: Float = 1
        /// Nil where images are compared by their values alone.
        package var encoder: FrozenEncoder?

        package init(_ loss: LossSettings = LossSettings(), samplesPerLabel: Int = 1) {
            (self.loss, self.samplesPerLabel) = (loss, samplesPerLabel)
        }
    }

    package let shape: Shape
    package let training: Training
    package let declarations: [ParameterDeclaration]
    private let block: DiTBlock

    package init(_ shape: Shape, _ training: Training = Training()) {
        (self.shape, self.training) = (shape, training)
        let wide = Int(Float(shape.embed) * shape.mlpRatio)
        // With a gate a third of the MLP's weights are the gate's: about as many weights as without one.
        let hidden = shape.hasSwiGLU ? max(8, wide * 2 / 3 / 8 * 8) : wide
        block = DiTBlock(
            width: shape.embed, heads: shape.heads, hidden: hidden, epsilon: shape.epsilon,
            rotary: shape.hasRotary ? RotaryTable(rows: shape.rows, columns: shape.columns) : nil,
            normsQueryKey: shape.normsQueryKey, hasSwiGLU: shape.hasSwiGLU)
        declarations = Self.declare(shape, block)
    }

    /// The head of these settings, beside what the other groups say.
    init(_ settings: DiTHeadSettings, _ configuration: Configuration) {
        let (data, network) = (configuration.data, configuration.network)
        var shape = Shape(
            rows: data.height / data.patch, columns: data.width / data.patch, tokenWidth: data.tokenWidth, embed: network.embed,
            heads: network.heads, depth: settings.depth, classes: data.classes, mlpRatio: network.mlpRatio,
            epsilon: network.layerNormEpsilon, lastLayerDeviation: settings.lastLayerDeviation)
        (shape.hasRotary, shape.normsQueryKey, shape.hasSwiGLU) = (settings.rope, settings.qkNorm, settings.swiglu)
        var training = Training(configuration.loss, samplesPerLabel: configuration.run.samplesPerLabel)
        training.guidanceMax = settings.guidanceMax
        training.encoder = FrozenEncoder(configuration)
        self.init(shape, training)
    }

    package var kind: String { DiTHeadSettings.kind }

    private static func declare(_ shape: Shape, _ block: DiTBlock) -> [ParameterDeclaration] {
        let width = shape.embed
        var list = ParameterDeclaration.linear("x_embedder.proj", shape.tokenWidth, width, .glorot)
        // As large as the embedded noise from the start: what is smaller takes hundreds of steps to be seen behind it.
        list.append(.init("pos_embed", [1, shape.tokens, width], .position(columns: shape.columns)))
        // The last row is the unconditional image's. Not DiT's deviation of 0.02: adaLN starts at 0, so what the classes learn
        // is in proportion to this, and with so little of it they stay alike for hundreds of steps.
        list.append(.init("y_embedder.embedding_table.weight", [shape.classes + 1, width], .normal(1)))
        list += ParameterDeclaration.linear("t_embedder.mlp.0", GuidanceFeatures.count, width, .normal(0.02))
        list += ParameterDeclaration.linear("t_embedder.mlp.2", width, width, .normal(0.02))
        for index in 0..<shape.depth { list += block.declarations("blocks.\(index).") }
        list += ParameterDeclaration.linear("final_layer.adaLN_modulation.1", width, 2 * width, .zeros)
        return list
            + ParameterDeclaration.linear(
                "final_layer.linear", width, shape.tokenWidth,
                shape.lastLayerDeviation == 0 ? .zeros : .normal(shape.lastLayerDeviation))
    }

    /// noise [L G, R, C], labels [L] int32 (`shape.classes` is the unconditional one), guidance [L, GuidanceFeatures.count]
    /// -> image tokens [L G, R, C], the images of a label together.
    package func callAsFunction(
        noise: Tensor, labels: Tensor, guidance: Tensor, _ scope: ParameterScope
    ) throws -> Tensor {
        let graph = scope.graph
        let count = labels.count
        guard count > 0, noise.type.rank == 3, noise.shape[0] % count == 0, noise.shape[1] == shape.tokens,
            noise.shape[2] == shape.tokenWidth, guidance.shape == [count, GuidanceFeatures.count]
        else { throw GraphError("dit: noise \(noise.type), labels \(labels.type) and guidance \(guidance.type) do not go together") }
        var x = try graph.addPeriodic(scope.linear(noise, "x_embedder.proj"), scope.parameter("pos_embed"))
        let strength = scope.scope("t_embedder.mlp")
        let embedded = try strength.linear(graph.silu(strength.linear(guidance, "0")), "2")
        let table = try scope.parameter("y_embedder.embedding_table.weight")
        let condition = try graph.silu(graph.add(graph.embedding(table, labels: labels), embedded))
        for index in 0..<shape.depth {
            x = try graph.segment { try block(x, condition: condition, scope.scope("blocks.\(index)")) }
        }
        let final = scope.scope("final_layer")
        let m = try graph.split(
            graph.reshape(final.linear(condition, "adaLN_modulation.1"), [count, 2, shape.embed]), axis: 1)
        let map = RowMap(span: noise.shape[0] / count * shape.tokens)
        let normed = try graph.layerNorm(x, epsilon: shape.epsilon, Modulation(shift: m[0], scale: m[1], map: map))
        return try final.linear(normed, "linear")
    }

    /// One pass, guided or not: the strength of guidance is an input.
    package func draw(
        _ drawing: DrawingInputs, _ scope: ParameterScope
    ) throws -> (tokens: Tensor, inputs: [DrawingGraph.Input]) {
        let labels = try drawing.condition.chosen()
        let guidance = try scope.graph.input("sample_guidance", [labels.count, GuidanceFeatures.count], grows: true)
        let tokens = try self(noise: drawing.noise, labels: labels, guidance: guidance, scope)
        return (
            tokens,
            [DrawingGraph.Input(tensor: guidance) { labels, cfg in
                GuidanceFeatures.values([Float](repeating: cfg, count: labels))
            }]
        )
    }
}

/// The strength of guidance as waves, which DiT does with the time of diffusion.
package enum GuidanceFeatures {
    /// Features of a strength.
    package static let count = 32

    /// cos and sin of strength * frequency, slow ones first: strengths from 1 to about 10 are told apart. [strengths, count].
    package static func values(_ strengths: [Float]) -> [Float] {
        strengths.flatMap { strength -> [Float] in
            (0..<(count / 2)).flatMap { k -> [Float] in
                let angle = Double(strength) * 0.1 * pow(100, Double(k) / Double(count / 2 - 1))
                return [Float(cos(angle)), Float(sin(angle))]
            }
        }
    }
}
