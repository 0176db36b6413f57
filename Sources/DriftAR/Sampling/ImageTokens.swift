/// Image tokens [N, R, C] back in pixels: [N, channels, height, width], clamped to [-1, 1]; NaN where a token is not finite.
public func images(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    planes(fromTokens: tokens, configuration).map(clampedPixel)
}

/// The value in [-1, 1]. What is not finite becomes NaN: as white or black it would pass for an image.
func clampedPixel(_ value: Float) -> Float { value.isFinite ? min(max(value, -1), 1) : .nan }

/// Image tokens [N, R, C] as [N, channels, height, width]. A token holds a patch as (channel, row, column), rows of patches
/// first.
func planes(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    let (channels, height, width, patch) = (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch)
    let size = channels * height * width
    guard size > 0 else { return [] }
    let columns = width / patch
    var result = [Float](repeating: 0, count: tokens.count)
    for image in 0..<(tokens.count / size) {
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<channels {
                    let token = (y / patch) * columns + x / patch
                    let within = (channel * patch + y % patch) * patch + x % patch
                    result[image * size + (channel * height + y) * width + x] =
                        tokens[image * size + token * configuration.data.tokenWidth + within]
                }
            }
        }
    }
    return result
}
