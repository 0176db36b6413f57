import DriftGPU
import Foundation

/// DiT as a generator of one pass (arXiv 2602.04770): noise tokens to image tokens, conditioned on a class and on the strength
/// of guidance.
public struct DiTModel: Sendable {
    /// Sizes of the model.
    public struct Shape: Sendable, Hashable {
        /// Tokens of an image: rows and columns of patches.
        public var rows: Int
        public var columns: Int
        /// C, values of a token.
        public var tokenWidth: Int
        /// D.
        public var embed: Int
        public var heads: Int
        public var depth: Int
        public var classes: Int
        public var mlpRatio: Float
        public var epsilon: Float
        /// Standard deviation of the last layer's weights at the start. DiT takes 0: then all images begin equal, feel the same
        /// force and stay together.
        public var lastLayerDeviation: Float
        /// RoPE beside the position embedding: turned queries and keys tell how far tokens are apart, but not where they are,
        /// and tokens of noise have nothing else to know it by.
        public var hasRotary = false
        public var normsQueryKey = false
        public var hasSwiGLU = false

        /// R.
        public var tokens: Int { rows * columns }

        public init(
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

    public let shape: Shape
    public let declarations: [ParameterDeclaration]
    public let layout: ParameterLayout
    let block: DiTBlock

    public init(_ shape: Shape) throws {
        self.shape = shape
        let wide = Int(Float(shape.embed) * shape.mlpRatio)
        // With a gate a third of the MLP's weights are the gate's: about as many weights as without one.
        let hidden = shape.hasSwiGLU ? max(8, wide * 2 / 3 / 8 * 8) : wide
        block = DiTBlock(
            width: shape.embed, heads: shape.heads, hidden: hidden, epsilon: shape.epsilon,
            rotary: shape.hasRotary ? RotaryTable(rows: shape.rows, columns: shape.columns) : nil,
            normsQueryKey: shape.normsQueryKey, hasSwiGLU: shape.hasSwiGLU)
        declarations = Self.declare(shape, block)
        layout = try ParameterLayout(declarations.map { ($0.name, $0.shape) })
    }

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
    public func callAsFunction(
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
}

/// The strength of guidance as waves, which DiT does with the time of diffusion.
public enum GuidanceFeatures {
    /// Features of a strength.
    public static let count = 32

    /// cos and sin of strength * frequency, slow ones first: strengths from 1 to about 10 are told apart. [strengths, count].
    public static func values(_ strengths: [Float]) -> [Float] {
        strengths.flatMap { strength -> [Float] in
            (0..<(count / 2)).flatMap { k -> [Float] in
                let angle = Double(strength) * 0.1 * pow(100, Double(k) / Double(count / 2 - 1))
                return [Float(cos(angle)), Float(sin(angle))]
            }
        }
    }
}
