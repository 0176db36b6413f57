import DriftData
import DriftFormats
import DriftReport

/// A picture and what an autoencoder's encoder and decoder make of it.
public struct Reconstruction {
    public let original: Picture
    public let reconstructed: Picture
    /// Decibels.
    public let signalToNoise: Double

    /// Brings the picture to `height` x `width` as training data is, and encodes and decodes it. The latent is the
    /// posterior's mean.
    public init(_ picture: Picture, height: Int, width: Int, autoencoder: Autoencoder) throws {
        let shape = autoencoder.vae.shape
        try shape.check(height: height, width: width)
        let transform = ImageTransform(channels: shape.imageChannels, height: height, width: width)
        let values = try transform.values(of: picture)
        let moments = try autoencoder.moments(values, height: height, width: width)
        let decoded = try autoencoder.images(
            Array(moments[..<(moments.count / 2)]), height: height / shape.factor, width: width / shape.factor)
        original = try Picture(image: values, channels: shape.imageChannels, height: height, width: width)
        reconstructed = try Picture(image: decoded, channels: shape.imageChannels, height: height, width: width)
        signalToNoise = try peakSignalToNoise(original, reconstructed)
    }

    /// The original on the left, the reconstruction on the right.
    public func sideBySide() throws -> Picture {
        let row = original.width * original.channels
        var pixels: [UInt8] = []
        pixels.reserveCapacity(2 * original.pixels.count)
        for y in 0..<original.height {
            for picture in [original, reconstructed] { pixels += picture.pixels[(y * row)..<((y + 1) * row)] }
        }
        return try Picture(width: 2 * original.width, height: original.height, channels: original.channels, pixels: pixels)
    }
}
