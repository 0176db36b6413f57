import DriftFormats
import Foundation

/// Peak signal-to-noise ratio in decibels of 8-bit pictures of one size: 10 log10(255^2 / mean squared difference); infinite
/// where they are equal.
public func peakSignalToNoise(_ a: Picture, _ b: Picture) throws -> Double {
    guard a.pixels.count == b.pixels.count, a.width == b.width, a.channels == b.channels, !a.pixels.isEmpty else {
        throw DataError("pictures of different sizes", at: "signal-to-noise ratio", fix: "bring them to one size")
    }
    var sum = 0
    for (x, y) in zip(a.pixels, b.pixels) {
        let difference = Int(x) - Int(y)
        sum += difference * difference
    }
    return 10 * log10(255 * 255 * Double(a.pixels.count) / Double(sum))
}
