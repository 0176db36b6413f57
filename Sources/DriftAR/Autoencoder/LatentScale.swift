import DriftData
import DriftFormats
import Foundation

/// The factor that brings an autoencoder's latents to a deviation of 1, which is what models are trained on (arXiv 2112.10752, G).
public enum LatentScale {
    /// Key under which weights carry it.
    static let key = "driftgpu.latent_scale"

    /// The scale of MAR's kl16, whose file does not say it.
    public static let kl16: Float = 0.2325

    /// Images that it is measured on, at most.
    private static let limit = 512

    /// The scale in the metadata of weights; nil where there is none.
    static func stored(in file: any TensorSource, at path: String) throws -> Float? {
        guard let text = (file as? SafeTensorsFile)?.metadata[key] else { return nil }
        guard let scale = Float(text), scale > 0, scale.isFinite else {
            throw DataError("\(key) is '\(text)', no number above 0", at: path, fix: "name the scale with --scale")
        }
        return scale
    }

    /// One over the deviation of draws from the posteriors of images spread over the set, all channels together.
    public static func measured(_ autoencoder: Autoencoder, on images: ImageSet) throws -> Float {
        let count = min(limit, images.count)
        let atOnce = autoencoder.batch(pixels: images.height * images.width)
        var (sum, square, values) = (0.0, 0.0, 0)
        for start in stride(from: 0, to: count, by: atOnce) {
            let part = (start..<min(start + atOnce, count)).map { DrawnImage(index: $0 * images.count / count, variant: .plain) }
            var pixels = [Float](repeating: 0, count: part.count * images.valueCount)
            try pixels.withUnsafeMutableBufferPointer { try images.read(part, to: $0) }
            let moments = try autoencoder.moments(pixels, height: images.height, width: images.width)
            let size = moments.count / part.count
            for image in 0..<part.count {
                for index in (image * size)..<(image * size + size / 2) {
                    let (mean, logVariance) = (Double(moments[index]), Double(min(max(moments[index + size / 2], -30), 20)))
                    sum += mean
                    square += mean * mean + exp(logVariance)
                }
            }
            values += part.count * size / 2
        }
        let variance = square / Double(values) - (sum / Double(values)) * (sum / Double(values))
        guard values > 0, variance > 0, variance.isFinite else {
            throw DataError("its latents have no spread that could be scaled (variance \(variance) over \(count) images)", at: autoencoder.weights.name,
                            fix: "train it longer, or name a scale with --scale")
        }
        return Float(1 / variance.squareRoot())
    }
}
