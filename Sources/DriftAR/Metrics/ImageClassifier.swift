import DriftData
import DriftFormats
import DriftGPU

/// A small network that tells the classes of a data set apart: patches with a learned position, transformer blocks, and a
/// hidden layer over all positions, whose activations are the features by which sets of images are compared.
public struct ImageClassifier: Sendable {
    /// Sizes of the network.
    public struct Shape: Sendable, Hashable {
        public var channels: Int
        public var height: Int
        public var width: Int
        /// Side of the square of pixels that makes one position.
        public var patch: Int
        public var classes: Int
        /// Width of the transformer.
        public var embed = 64
        public var heads = 4
        public var depth = 2
        /// D, activations of the hidden layer.
        public var features = 128

        public init(channels: Int, height: Int, width: Int, patch: Int, classes: Int) {
            self.channels = channels
            self.height = height
            self.width = width
            self.patch = patch
            self.classes = classes
        }

        /// The shape for images like those of a data set, in the smallest patches (2 or more pixels wide where the sides allow)
        /// that leave at most 64 positions.
        public init(for data: Dataset) throws {
            try self.init(channels: data.channels, height: data.height, width: data.width, classes: data.classCount)
        }

        /// The same from the images' sizes.
        init(channels: Int, height: Int, width: Int, classes: Int) throws {
            let patches = (1...max(1, min(height, width))).filter {
                height.isMultiple(of: $0) && width.isMultiple(of: $0) && height / $0 * (width / $0) <= Self.positionLimit
            }
            guard let patch = patches.first(where: { $0 > 1 }) ?? patches.first else {
                throw DataError(
                    "images of \(height) x \(width) do not divide into \(Self.positionLimit) squares or fewer", at: "classifier",
                    fix: "use images whose sides have a common divisor")
            }
            self.init(channels: channels, height: height, width: width, patch: patch, classes: classes)
        }

        private static let positionLimit = 64

        var positions: Int { height / patch * (width / patch) }
    }

    public let shape: Shape
    let declarations: [ParameterDeclaration]
    let layout: ParameterLayout
    private let block: AttentionBlock

    public init(_ shape: Shape) throws {
        self.shape = shape
        block = AttentionBlock(width: shape.embed, heads: shape.heads, hidden: 2 * shape.embed, epsilon: 1e-6)
        var list = ParameterDeclaration.linear("patches", shape.channels * shape.patch * shape.patch, shape.embed)
        list.append(ParameterDeclaration("positions", [1, shape.positions, shape.embed], .normal(0.02)))
        for index in 0..<shape.depth { list += block.declarations("blocks.\(index).") }
        list += ParameterDeclaration.layerNorm("norm", shape.embed)
        list += ParameterDeclaration.linear("hidden", shape.positions * shape.embed, shape.features)
        list += ParameterDeclaration.linear("classes", shape.features, shape.classes)
        declarations = list
        layout = try ParameterLayout(list.map { ($0.name, $0.shape) })
    }

    /// Images [B, C, H, W] -> features [B, D] and logits [B, classes].
    func callAsFunction(_ images: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil) throws -> (features: Tensor, logits: Tensor) {
        let graph = scope.graph
        let tokens = try scope.linear(graph.patchify(images, patch: shape.patch), "patches")
        var x = try graph.addPeriodic(tokens, scope.parameter("positions"))
        for index in 0..<shape.depth { x = try block(x, scope.scope("blocks.\(index)"), dropout: dropout).output }
        let normed = try scope.layerNorm(x, "norm", epsilon: block.epsilon)
        let flat = try graph.reshape(normed, [images.shape[0], shape.positions * shape.embed])
        let features = try graph.gelu(scope.linear(flat, "hidden"))
        return (features, try scope.linear(features, "classes"))
    }
}
