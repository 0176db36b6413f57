/// Image tokens [N, R, C] back in pixels: [N, channels, height, width], clamped to [-1, 1].
public func images(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    planes(fromTokens: tokens, configuration).map { min(max($0, -1), 1) }
}

/// Image tokens [N, R, C] as [N, channels, height, width]. A token holds a patch as (channel, row, column), rows of patches
/// first.
func planes(fromTokens tokens: [Float], _ configuration: Configuration) -> [Float] {
    let (channels, height, width, patch) = (configuration.channels, configuration.height, configuration.width, configuration.patch)
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
                        tokens[image * size + token * configuration.tokenWidth + within]
                }
            }
        }
    }
    return result
}
