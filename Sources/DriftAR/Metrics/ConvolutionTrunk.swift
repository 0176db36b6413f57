import DriftGPU

/// What a classifier of photographs makes of the pixels: levels of residual convolutions, each half as fine as the one before and of twice
/// the channels up to a limit, and the mean over what is left of the picture. A photograph is too large for patches that are few and
/// small, and where a thing lies in it says little.
struct ConvolutionTrunk: Sendable {
    /// Pixels to one position of the first level.
    let stride: Int
    /// Channels of the levels.
    let channels: [Int]
    private let input: Int

    private static let epsilon: Float = 1e-6
    private static let groups = 8
    /// A level has at most this many times the channels of the first.
    private static let growth = 4
    /// Longest side of the first level.
    private static let firstSide = 32

    /// `width`: channels of the first level.
    init(input: Int, stride: Int, width: Int, levels: Int) {
        (self.input, self.stride) = (input, stride)
        channels = (0..<levels).map { width * min(1 << min($0, 16), Self.growth) }
    }

    /// Pixels to a position that leave the first level small: a power of two, of at most 16 taps.
    static func stride(height: Int, width: Int) -> Int {
        [1, 2, 4, 8].first { max(height, width) <= $0 * firstSide } ?? 8
    }

    private func block(_ level: Int) -> VAEResidualBlock {
        VAEResidualBlock(input: channels[level], output: channels[level], groups: Self.groups, epsilon: Self.epsilon)
    }

    var declarations: [ParameterDeclaration] {
        var list = ParameterDeclaration.convolution("first", input, channels[0], taps: 2 * stride - 1)
        for level in channels.indices {
            if level > 0 { list += ParameterDeclaration.convolution("levels.\(level).down", channels[level - 1], channels[level]) }
            list += block(level).declarations("levels.\(level).block.")
        }
        return list + ParameterDeclaration.layerNorm("norm", outputs) + ParameterDeclaration.layerNorm("mean_norm", outputs)
    }

    /// Numbers of a picture.
    var outputs: Int { channels.last ?? 0 }

    /// Images [B, C, H, W] -> [B, outputs].
    func callAsFunction(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor {
        let graph = scope.graph
        var x = try scope.convolution(graph.pixels(images), "first", stride: stride, padding: Padding(stride - 1))
        for level in channels.indices {
            let own = scope.scope("levels.\(level)")
            if level > 0 { x = try own.convolution(x, "down", stride: 2, padding: Padding(1)) }
            x = try block(level)(x, own.scope("block"))
        }
        let last = try graph.silu(scope.groupNorm(x, "norm", groups: Self.groups, epsilon: Self.epsilon))
        let positions = last.shape[1] * last.shape[2]
        let mean = try graph.scale(graph.sumGroups(graph.reshape(last, [last.shape[0], positions, outputs])), by: 1 / Float(positions))
        // What is common to all images is most of a mean.
        return try scope.layerNorm(mean, "mean_norm", epsilon: Self.epsilon)
    }
}
