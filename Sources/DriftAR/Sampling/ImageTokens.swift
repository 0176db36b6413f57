/// Image tokens [N, R, C] back in pixels: [N, channels, height, width], clamped to [-1, 1]; NaN where a token is not finite.
public func images(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    planes(fromTokens: tokens, configuration).map(clampedPixel)
}

/// The value in [-1, 1]. What is not finite becomes NaN: as white or black it would pass for an image.
func clampedPixel(_ value: Float) -> Float { value.isFinite ? min(max(value, -1), 1) : .nan }

/// Image tokens [N, R, C] as [N, channels, height, width]. A token holds a patch as (channel, row, column), rows of patches
/// first.
func planes(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    var result = [Float](repeating: 0, count: tokens.count)
    forEachValue(of: tokens.count, configuration) { token, plane in result[plane] = tokens[token] }
    return result
}

/// The inverse: [N, channels, height, width] as image tokens [N, R, C].
func tokens(fromPlanes planes: [Float], _ configuration: Configuration) -> [Float] {
    var result = [Float](repeating: 0, count: planes.count)
    forEachValue(of: planes.count, configuration) { token, plane in result[token] = planes[plane] }
    return result
}

/// The places of each value of whole images among `count`: in tokens, and in planes.
private func forEachValue(of count: Int, _ configuration: Configuration, _ body: (_ token: Int, _ plane: Int) -> Void) {
    let (channels, height, width, patch) = (configuration.data.channels, configuration.data.height, configuration.data.width, configuration.data.patch)
    let size = channels * height * width
    guard size > 0 else { return }
    let columns = width / patch
    for image in 0..<(count / size) {
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<channels {
                    let token = (y / patch) * columns + x / patch
                    let within = (channel * patch + y % patch) * patch + x % patch
                    body(
                        image * size + token * configuration.data.tokenWidth + within,
                        image * size + (channel * height + y) * width + x)
                }
            }
        }
    }
}
