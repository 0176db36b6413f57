import DriftFormats
import DriftGPU
import Foundation

/// The KL autoencoder of latent diffusion: images to the moments of a Gaussian over latents, latents to images. Parameters
/// have the names of its checkpoints (`encoder.down.0.block.0.norm1.weight`, `quant_conv.weight`, ...).
///
/// Inside, images are pixels of channels [B, H, W, C]: a product of taps is then one of matrices, attention and the 1x1
/// convolutions are linear layers, and neighbouring pixels' channels lie next to each other. Outside they are [B, C, H, W].
public struct VAE: Sendable {
    /// Sizes; by default those of MAR's kl16.
    public struct Shape: Sendable, Hashable {
        public var imageChannels = 3
        /// Channels of the first level.
        public var width = 128
        /// Channels of each level over `width`; each level but the last halves the image.
        public var multipliers = [1, 1, 2, 2, 4]
        /// Residual blocks of a level of the encoder; the decoder has one more.
        public var blocks = 2
        /// Channels that the encoder makes moments of, and the decoder begins with.
        public var innerChannels = 16
        /// Channels of a latent.
        public var latentChannels = 16
        /// Levels with attention behind each residual block; the middle always has it.
        public var encoderAttention: Set<Int> = [4]
        public var decoderAttention: Set<Int> = []
        public var epsilon: Float = 1e-6

        public init() {}

        /// Groups of the norms: 32, or the largest smaller power of two that divides the width.
        public var groups: Int { min(32, width & -width) }
        /// Pixels of an image across for one of the latent.
        public var factor: Int { 1 << max(0, multipliers.count - 1) }

        /// Throws a line that names the first size out of range.
        public func validate() throws {
            func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
                if !condition { throw ConfigurationError("VAE: " + message()) }
            }
            try require(imageChannels == 1 || imageChannels == 3, "\(imageChannels) image channels; take 1 or 3")
            try require(width > 0 && width <= 4096, "width \(width); take 1 to 4096")
            try require((1...8).contains(multipliers.count), "\(multipliers.count) levels; take 1 to 8")
            try require(multipliers.allSatisfy { $0 > 0 && $0 <= 64 }, "multipliers \(multipliers); take 1 to 64")
            try require(blocks > 0 && blocks <= 16, "\(blocks) blocks a level; take 1 to 16")
            try require(
                (1...256).contains(innerChannels) && (1...256).contains(latentChannels),
                "latents of \(latentChannels) channels, \(innerChannels) inside; take 1 to 256")
        }

        /// Throws unless images of this size come out as whole latents.
        public func check(height: Int, width: Int) throws {
            guard height > 0, width > 0, height <= 4096, width <= 4096, height % factor == 0, width % factor == 0 else {
                throw ConfigurationError("VAE: images of \(height)x\(width); take multiples of \(factor), up to 4096")
            }
        }
    }

    public let shape: Shape
    let encoder: VAEEncoder
    let decoder: VAEDecoder

    /// Throws when a size is out of range.
    public init(_ shape: Shape = Shape()) throws {
        try shape.validate()
        self.init(checked: shape)
    }

    /// For sizes that were looked at before.
    init(checked shape: Shape) {
        self.shape = shape
        encoder = VAEEncoder(shape)
        decoder = VAEDecoder(shape)
    }

    /// Parameters of the encoder and its `quant_conv`.
    public var encoderDeclarations: [ParameterDeclaration] {
        encoder.declarations("encoder.")
            + ParameterDeclaration.convolution("quant_conv", 2 * shape.innerChannels, 2 * shape.latentChannels, taps: 1)
    }

    /// Parameters of the decoder and its `post_quant_conv`.
    public var decoderDeclarations: [ParameterDeclaration] {
        ParameterDeclaration.convolution("post_quant_conv", shape.latentChannels, shape.innerChannels, taps: 1)
            + decoder.declarations("decoder.")
    }

    /// Images [B, C, H, W] in [-1, 1] -> moments [B, 2 z, H / f, W / f]: means, then log-variances.
    public func encode(_ images: Tensor, _ scope: ParameterScope) throws -> Tensor {
        guard images.shape.count == 4, images.shape[1] == shape.imageChannels else {
            throw GraphError("VAE: images \(images.type) are not [B, \(shape.imageChannels), H, W]")
        }
        return try moments(ofPixels: scope.graph.pixels(images), scope)
    }

    /// The same of pixels of channels [B, H, W, C].
    func moments(ofPixels pixels: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try shape.check(height: pixels.shape[1], width: pixels.shape[2])
        let hidden = try encoder(pixels, scope.scope("encoder"))
        return try scope.graph.planes(scope.convolution(hidden, "quant_conv"))
    }

    /// Latents [B, z, h, w] -> images [B, C, h f, w f].
    public func decode(_ latents: Tensor, _ scope: ParameterScope) throws -> Tensor {
        try scope.graph.planes(pixels(ofLatents: latents, scope))
    }

    /// The same as pixels of channels [B, h f, w f, C].
    func pixels(ofLatents latents: Tensor, _ scope: ParameterScope) throws -> Tensor {
        guard latents.shape.count == 4, latents.shape[1] == shape.latentChannels else {
            throw GraphError("VAE: latents \(latents.type) are not [B, \(shape.latentChannels), h, w]")
        }
        let hidden = try scope.convolution(scope.graph.pixels(latents), "post_quant_conv")
        return try decoder(hidden, scope.scope("decoder"))
    }

    /// KL divergence of each image's posterior from the standard normal, from moments [B, 2 z, h, w]:
    /// sum of (mean^2 + variance - 1 - log-variance) / 2.
    public static func divergence(_ moments: [Float], batch: Int) -> [Float] {
        guard batch > 0 else { return [] }
        let size = moments.count / batch
        return (0..<batch).map { image in
            var sum = 0.0
            for index in (image * size)..<(image * size + size / 2) {
                let mean = Double(moments[index])
                let logVariance = min(max(Double(moments[index + size / 2]), -30), 20)
                sum += (mean * mean + exp(logVariance) - 1 - logVariance) / 2
            }
            return Float(sum)
        }
    }
}

extension Graph {
    /// [B, C, H, W] -> [B, H, W, C].
    func pixels(_ x: Tensor) throws -> Tensor {
        let s = x.shape
        return try reshape(transpose(reshape(x, [s[0], s[1], s[2] * s[3]])), [s[0], s[2], s[3], s[1]])
    }

    /// [B, H, W, C] -> [B, C, H, W].
    func planes(_ x: Tensor) throws -> Tensor {
        let s = x.shape
        return try reshape(transpose(reshape(x, [s[0], s[1] * s[2], s[3]])), [s[0], s[3], s[1], s[2]])
    }
}
