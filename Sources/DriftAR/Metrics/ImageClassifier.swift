import DriftData
import DriftFormats
import DriftGPU

/// A small network that tells the classes of a data set apart, and whose hidden layer's activations are the features by which sets of
/// images are compared. Small images are taken in patches with a learned position, through transformer blocks, the hidden layer over
/// all positions; photographs through convolutions, the hidden layer over their mean.
public struct ImageClassifier: Sendable {
    /// Sizes of the network.
    public struct Shape: Sendable, Hashable {
        public var channels: Int
        public var height: Int
        public var width: Int
        /// Side of the square of pixels that makes one position; of convolutions the stride of the first.
        public var patch: Int
        public var classes: Int
        /// Levels of convolutions; 0: patches and a transformer.
        public var levels = 0
        /// Width of the transformer, or channels of the first level.
        public var embed = 64
        public var heads = 4
        /// Blocks of the transformer.
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

        /// The shape for images like those of a data set: convolutions where both sides have 32 pixels or more, else the smallest
        /// patches (2 or more pixels wide where the sides allow) that leave at most 64 positions.
        public init(for data: Dataset) throws {
            try self.init(channels: data.channels, height: data.height, width: data.width, classes: data.classCount)
        }

        /// The same from the images' sizes.
        init(channels: Int, height: Int, width: Int, classes: Int) throws {
            if min(height, width) >= Self.photographSide {
                self.init(
                    channels: channels, height: height, width: width, patch: ConvolutionTrunk.stride(height: height, width: width),
                    classes: classes)
                (levels, embed) = (3, 32)
                return
            }
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
        private static let photographSide = 32

        var positions: Int { height / patch * (width / patch) }
        var isOfConvolutions: Bool { levels > 0 }
        /// Of convolutions.
        var trunk: ConvolutionTrunk { ConvolutionTrunk(input: channels, stride: patch, width: embed, levels: levels) }
    }

    public let shape: Shape
    let declarations: [ParameterDeclaration]
    let layout: ParameterLayout
    private let block: AttentionBlock

    public init(_ shape: Shape) throws {
        self.shape = shape
        block = AttentionBlock(width: shape.embed, heads: shape.heads, hidden: 2 * shape.embed, epsilon: 1e-6)
        var list: [ParameterDeclaration] = []
        if shape.isOfConvolutions {
            list = shape.trunk.declarations
            list += ParameterDeclaration.linear("hidden", shape.trunk.outputs, shape.features)
        } else {
            list = ParameterDeclaration.linear("patches", shape.channels * shape.patch * shape.patch, shape.embed)
            list.append(ParameterDeclaration("positions", [1, shape.positions, shape.embed], .normal(0.02)))
            for index in 0..<shape.depth { list += block.declarations("blocks.\(index).") }
            list += ParameterDeclaration.layerNorm("norm", shape.embed)
            list += ParameterDeclaration.linear("hidden", shape.positions * shape.embed, shape.features)
        }
        list += ParameterDeclaration.linear("classes", shape.features, shape.classes)
        declarations = list
        layout = try ParameterLayout(list.map { ($0.name, $0.shape) })
    }

    /// Images [B, C, H, W] -> features [B, D] and logits [B, classes].
    func callAsFunction(_ images: Tensor, _ scope: ParameterScope, dropout: Dropout? = nil) throws -> (features: Tensor, logits: Tensor) {
        let graph = scope.graph
        let flat = try shape.isOfConvolutions ? convolved(images, scope, dropout) : attended(images, scope, dropout)
        let features = try graph.gelu(scope.linear(flat, "hidden"))
        return (features, try scope.linear(features, "classes"))
    }

    private func convolved(_ images: Tensor, _ scope: ParameterScope, _ dropout: Dropout?) throws -> Tensor {
        let mean = try shape.trunk(images, scope)
        return try dropout.map { try scope.graph.dropout(mean, $0) } ?? mean
    }

    private func attended(_ images: Tensor, _ scope: ParameterScope, _ dropout: Dropout?) throws -> Tensor {
        let graph = scope.graph
        let tokens = try scope.linear(graph.patchify(images, patch: shape.patch), "patches")
        var x = try graph.addPeriodic(tokens, scope.parameter("positions"))
        for index in 0..<shape.depth { x = try block(x, scope.scope("blocks.\(index)"), dropout: dropout).output }
        let normed = try scope.layerNorm(x, "norm", epsilon: block.epsilon)
        return try graph.reshape(normed, [images.shape[0], shape.positions * shape.embed])
    }
}
