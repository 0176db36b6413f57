import DriftFormats

/// How samples become pictures: pixels are pictures; latents are decoded by an autoencoder or, without one, shown in false
/// colours, their first three channels as red, green and blue.
public struct Rendering {
    /// What the pictures show.
    public enum Kind: String, Sendable {
        /// What a model of pixels made.
        case pixels
        /// Latents, decoded by an autoencoder.
        case decoded
        /// Latents in false colours: not images that could be compared with real ones.
        case falseColours = "false colours"
    }

    /// Of everything it renders.
    public var kind: Kind {
        configuration.data.areLatents ? (autoencoder == nil ? .falseColours : .decoded) : .pixels
    }

    private let configuration: Configuration
    private let autoencoder: Autoencoder?

    /// Throws where the autoencoder does not go with the model.
    public init(_ configuration: Configuration, autoencoder: Autoencoder? = nil) throws {
        if let autoencoder {
            guard configuration.data.areLatents else {
                throw ConfigurationError("--vae: the model was trained on pixels, which need no decoding; leave it out")
            }
            let channels = autoencoder.vae.shape.latentChannels
            guard channels == configuration.data.channels else {
                throw ConfigurationError(
                    "--vae \(autoencoder.weights.name): latents of \(channels) channels, the model makes \(configuration.data.channels); name the autoencoder its latents were made by")
            }
        }
        (self.configuration, self.autoencoder) = (configuration, autoencoder)
    }

    /// What the pictures are where they are not what the model was trained to draw; nil where they are.
    public var note: String? {
        guard kind == .falseColours else { return nil }
        let again = configuration.preset == "imported" ? ", or import again with --patch where they are patches of pixels" : ""
        return "latents of \(configuration.data.channels) channels, shown in false colours; decode them with --vae FILE" + again
    }

    /// Tokens [N, R, C] -> pixels in [-1, 1] and their shape [N, channels, height, width]; NaN stands for what is not finite.
    public func callAsFunction(_ tokens: [Float]) throws -> (pixels: [Float], shape: [Int]) {
        let (channels, height, width) = (configuration.data.channels, configuration.data.height, configuration.data.width)
        let count = tokens.count / max(1, channels * height * width)
        guard configuration.data.areLatents else {
            return (images(fromTokens: tokens, configuration), [count, channels, height, width])
        }
        let latents = planes(fromTokens: tokens, configuration)
        guard let autoencoder else {
            return (falseColours(latents, count: count), [count, channels < 3 ? 1 : 3, height, width])
        }
        let shape = autoencoder.vae.shape
        let pixels = try autoencoder.images(latents.map { $0 / configuration.data.latentScale }, height: height, width: width)
        return (
            pixels.map(clampedPixel),
            [count, shape.imageChannels, height * shape.factor, width * shape.factor]
        )
    }

    /// The first three channels, or the first, where three deviations of a scaled latent are the whole range.
    private func falseColours(_ latents: [Float], count: Int) -> [Float] {
        let plane = configuration.data.height * configuration.data.width
        let shown = configuration.data.channels < 3 ? 1 : 3
        return (0..<count).flatMap { image in
            let start = image * configuration.data.channels * plane
            return latents[start..<(start + shown * plane)].map { clampedPixel($0 / 3) }
        }
    }
}
