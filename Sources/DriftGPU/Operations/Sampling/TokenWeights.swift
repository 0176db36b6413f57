/// Linear layers one behind the other as the kernels of a token network read them. Inputs: weight and bias of each layer, or a weight
/// of LayerNorm twice. Output: the packed layers [count].
struct TokenWeights: Operation {
    /// Part of a linear layer: `rows` of its outputs, from `first` on.
    struct Layer: Sendable {
        /// Index of the weight [.., inputs] among the operation's inputs; nil: the bias alone.
        var weight: Int?
        var bias: Int
        var first = 0
        var rows: Int
        var inputs = 0

        var padded: Int { TokenNetworkShape.padded(rows) }
        var count: Int { padded * (inputs + 1) }
    }
    let layers: [Layer]

    var name: String { "token_weights" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        for layer in layers {
            let last = layer.first + layer.rows
            guard inputs[layer.bias].count >= last, layer.weight.map({ inputs[$0].rows >= last && inputs[$0].columns == layer.inputs }) ?? true else {
                throw GraphError(
                    "token_weights: weight \(layer.weight.map { "\(inputs[$0])" } ?? "none"), bias \(inputs[layer.bias]); outputs up to \(last) of \(layer.inputs) inputs are needed")
            }
        }
        return [TensorType([layers.reduce(0) { $0 + $1.count }])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        var offset = 0
        return layers.map { layer in
            defer { offset += layer.count }
            return context.itemLaunch(
                "token_weights_pack", family: name, items: layer.count,
                arguments: [
                    .input(layer.weight ?? layer.bias, offset: layer.first * layer.inputs), .input(layer.bias, offset: layer.first),
                    .output(0, offset: offset), .int(layer.rows), .int(layer.inputs), .int(layer.padded),
                ], traffic: Traffic(bytes: 8 * layer.count))
        }
    }
}

/// Sizes of MAR's SimpleMLPAdaLN.
public struct TokenNetworkShape: Sendable, Hashable {
    /// w, of the blocks and of the condition.
    public var width: Int
    /// Blocks.
    public var depth: Int
    /// Values of a row that comes out.
    public var outputs: Int

    public init(width: Int, depth: Int, outputs: Int) { (self.width, self.depth, self.outputs) = (width, depth, outputs) }

    /// Largest width and number of outputs: a tile of rows lies in local memory, and all rows of a tile share one pass over the
    /// weights. Larger networks are better off with products of all rows.
    public static let largest = 256

    /// Whether the kernels take it.
    public var isSmall: Bool { width <= Self.largest && outputs <= Self.largest }

    /// Outputs of a layer as it is packed.
    static func padded(_ rows: Int) -> Int { (rows + 31) / 32 * 32 }

    /// Floats of the packed network.
    var packedCount: Int {
        let padded = Self.padded(width)
        return (5 * depth + 2) * padded * (width + 1) + 2 * depth * padded + Self.padded(outputs) * (width + 1)
    }

    /// Multiply-adds of a row, twice.
    var flops: Int { 2 * width * ((5 * depth + 2) * width + outputs) }

    func check(_ name: String) throws {
        guard width > 0, depth > 0, outputs > 0, isSmall else {
            throw GraphError("\(name): width \(width), depth \(depth), outputs \(outputs); take at most \(Self.largest) for width and outputs")
        }
    }
}

/// The weights of a SimpleMLPAdaLN, as PyTorch has them: [outputs, inputs] and [outputs].
public struct TokenNetworkWeights: Sendable {
    /// A linear layer, or the two tensors of a LayerNorm.
    public struct Layer: Sendable {
        public var weight: Tensor
        public var bias: Tensor

        public init(weight: Tensor, bias: Tensor) { (self.weight, self.bias) = (weight, bias) }
    }

    /// A residual block: x + gate second(silu(first(LN(x) (1 + scale) + shift))).
    public struct Block: Sendable {
        public var norm: Layer
        /// Shift, scale and gate, [3 w, w].
        public var modulation: Layer
        public var first: Layer
        public var second: Layer

        public init(norm: Layer, modulation: Layer, first: Layer, second: Layer) {
            (self.norm, self.modulation, self.first, self.second) = (norm, modulation, first, second)
        }
    }

    public var blocks: [Block]
    /// Shift and scale before the last layer, [2 w, w].
    public var modulation: Layer
    public var last: Layer
    /// The layer [w, channels] in front of the blocks, where a kernel applies it.
    public var input: Layer?

    public init(blocks: [Block], modulation: Layer, last: Layer, input: Layer? = nil) {
        (self.blocks, self.modulation, self.last, self.input) = (blocks, modulation, last, input)
    }

    public var shape: TokenNetworkShape {
        TokenNetworkShape(width: last.weight.type.columns, depth: blocks.count, outputs: last.weight.type.rows)
    }
}

extension Graph {
    /// The weights of a token network as `tokenNetwork` and `tokenDiffusion` take them: once for a set of weights, not for each
    /// drawing. [count]. No gradient.
    public func tokenWeights(_ weights: TokenNetworkWeights) throws -> Tensor {
        let width = weights.shape.width
        var tensors: [Tensor] = []
        var layers: [TokenWeights.Layer] = []
        /// `parts` layers of as many outputs each, in the order given.
        func add(_ layer: TokenNetworkWeights.Layer, parts: [Int] = [0], of count: Int = 1) {
            tensors += [layer.weight, layer.bias]
            let rows = layer.weight.type.rows / count
            layers += parts.map {
                .init(weight: tensors.count - 2, bias: tensors.count - 1, first: $0 * rows, rows: rows, inputs: layer.weight.type.columns)
            }
        }
        for block in weights.blocks {
            tensors += [block.norm.weight, block.norm.bias]
            layers += [.init(bias: tensors.count - 2, rows: width), .init(bias: tensors.count - 1, rows: width)]
            add(block.modulation, parts: [0, 1, 2], of: 3)
            add(block.first)
            add(block.second)
        }
        add(weights.modulation, parts: [0, 1], of: 2)
        add(weights.last)
        if let input = weights.input { add(input) }
        return try apply(TokenWeights(layers: layers), tensors)[0]
    }
}
