import DriftFormats
import Foundation

/// Antialiased resizing of 8-bit pictures, the arithmetic of Pillow's `Image.resize`: fixed-point weights of 22 bits, first
/// along rows, then along columns, rounded to 8 bits in between.
extension Picture {
    /// The kernels that image pipelines resize with.
    package enum ResampleFilter {
        /// The mean of what a pixel covers.
        case box
        /// Keys' cubic with a = -0.5.
        case bicubic

        /// Reach on each side, in pixels of the smaller picture.
        var support: Double { self == .box ? 0.5 : 2 }

        func weight(_ distance: Double) -> Double {
            switch self {
            case .box: return distance > -0.5 && distance <= 0.5 ? 1 : 0
            case .bicubic:
                let (x, a) = (abs(distance), -0.5)
                if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
                return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
            }
        }
    }

    /// The part `x`, `y` of this picture resized to `size`.
    package func resized(to size: (width: Int, height: Int), x: Range<Int>, y: Range<Int>, filter: ResampleFilter) throws -> Picture {
        try ReducedPicture(self).resized(to: size, x: x, y: y, filter: filter)
    }

    /// This picture resized to `size`.
    package func resized(width: Int, height: Int, filter: ResampleFilter) throws -> Picture {
        try resized(to: (width, height), x: 0..<width, y: 0..<height, filter: filter)
    }
}

extension ReducedPicture {
    /// The part `x`, `y` of this picture resized to `size`. Only what the part needs is computed, so a narrow picture that is
    /// to cover a wide one takes no more memory than any other.
    func resized(
        to size: (width: Int, height: Int), x: Range<Int>, y: Range<Int>, filter: Picture.ResampleFilter
    ) throws -> Picture {
        let columns = ResampleWeights(of: picture.width, extent: width, to: size.width, window: x, filter: filter)
        let rows = ResampleWeights(of: picture.height, extent: height, to: size.height, window: y, filter: filter)
        let first = rows.starts.min() ?? 0
        let last = zip(rows.starts, rows.counts).map(+).max() ?? first
        let (length, channels) = (picture.width, picture.channels)
        let strip = columns.resizedLines(
            of: picture.pixels[(first * length * channels)..<(last * length * channels)], length: length, channels: channels)
        let result = rows.mixedLines(of: strip, length: x.count * channels, first: first)
        return try Picture(width: x.count, height: y.count, channels: channels, pixels: result)
    }
}

/// For each pixel of a resized line the pixels of the original it is made of, with fixed-point weights.
private struct ResampleWeights {
    private(set) var starts: [Int] = []
    private(set) var counts: [Int] = []
    private var weights: [Int32] = []
    private let reach: Int

    private static let bits: Int32 = 22

    /// Weights of the pixels `window` of a line of `old` pixels whose first `extent` are resized to `new`.
    init(of old: Int, extent: Double, to new: Int, window: Range<Int>, filter: Picture.ResampleFilter) {
        // An unchanged length is copied, as Pillow does, not filtered.
        guard extent != Double(new) else {
            reach = 1
            starts = Array(window)
            counts = [Int](repeating: 1, count: window.count)
            weights = [Int32](repeating: 1 << Self.bits, count: window.count)
            return
        }
        let scale = extent / Double(new)
        let filterScale = max(scale, 1)
        let support = filter.support * filterScale
        reach = Int(support.rounded(.up)) * 2 + 1
        weights = [Int32](repeating: 0, count: window.count * reach)
        for (row, position) in window.enumerated() {
            let centre = (Double(position) + 0.5) * scale
            let start = max(0, Int(centre - support + 0.5))
            let count = min(old, Int(centre + support + 0.5)) - start
            let raw = (0..<count).map { filter.weight((Double($0 + start) - centre + 0.5) * (1 / filterScale)) }
            let sum = raw.reduce(0, +)
            for (k, weight) in raw.enumerated() {
                let fixed = (sum == 0 ? weight : weight / sum) * Double(1 << Self.bits)
                weights[row * reach + k] = Int32(fixed < 0 ? fixed - 0.5 : fixed + 0.5)
            }
            starts.append(start)
            counts.append(count)
        }
    }

    /// Lines of `length` pixels of interleaved channels, each resized.
    func resizedLines(of lines: ArraySlice<UInt8>, length: Int, channels: Int) -> [UInt8] {
        let (old, new) = (length * channels, starts.count * channels)
        let count = lines.count / old
        return [UInt8](unsafeUninitializedCapacity: count * new) { target, filled in
            lines.withUnsafeBufferPointer { source in
                weights.withUnsafeBufferPointer { weights in
                    for line in 0..<count {
                        for i in starts.indices {
                            let (start, taken) = (starts[i] * channels, counts[i])
                            for channel in 0..<channels {
                                var sum = Self.half
                                for k in 0..<taken {
                                    sum &+= Int32(source[line * old + start + k * channels + channel]) &* weights[i * reach + k]
                                }
                                target[line * new + i * channels + channel] = Self.rounded(sum)
                            }
                        }
                    }
                }
            }
            filled = count * new
        }
    }

    /// For each resized position the weighted sum of the lines it is made of. `lines`: of `length` bytes, from line `first` on.
    func mixedLines(of lines: [UInt8], length: Int, first: Int) -> [UInt8] {
        var sums = [Int32](repeating: 0, count: length)
        return [UInt8](unsafeUninitializedCapacity: starts.count * length) { target, filled in
            lines.withUnsafeBufferPointer { source in
                sums.withUnsafeMutableBufferPointer { sums in
                    for i in starts.indices {
                        sums.update(repeating: Self.half)
                        for k in 0..<counts[i] {
                            let (weight, line) = (weights[i * reach + k], (starts[i] + k - first) * length)
                            for x in 0..<length { sums[x] &+= Int32(source[line + x]) &* weight }
                        }
                        for x in 0..<length { target[i * length + x] = Self.rounded(sums[x]) }
                    }
                }
            }
            filled = starts.count * length
        }
    }

    private static let half = Int32(1) << (bits - 1)

    private static func rounded(_ sum: Int32) -> UInt8 { UInt8(truncatingIfNeeded: max(0, min(255, sum >> bits))) }
}
