import Foundation

/// Antialiased resizing of 8-bit pictures, the arithmetic of Pillow's `Image.resize`: fixed-point weights of 22 bits, first
/// along rows, then along columns, rounded to 8 bits in between.
extension Picture {
    /// The kernels that image pipelines resize with.
    enum ResampleFilter {
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

    /// The part `x`, `y` of this picture resized to `size`. Only what the part needs is computed, so a narrow picture that is
    /// to cover a wide one takes no more memory than any other.
    func resized(to size: (width: Int, height: Int), x: Range<Int>, y: Range<Int>, filter: ResampleFilter) throws -> Picture {
        let columns = ResampleWeights(from: width, to: size.width, window: x, filter: filter)
        let rows = ResampleWeights(from: height, to: size.height, window: y, filter: filter)
        let (first, last) = (rows.starts.min() ?? 0, zip(rows.starts, rows.counts).map(+).max() ?? 0)
        var strip = [UInt8](repeating: 0, count: (last - first) * x.count * channels)
        var result = [UInt8](repeating: 0, count: y.count * x.count * channels)
        pixels.withUnsafeBufferPointer { source in
            strip.withUnsafeMutableBufferPointer { strip in
                for line in 0..<(last - first) {
                    let row = UnsafeBufferPointer(rebasing: source[((line + first) * width * channels)...])
                    for i in 0..<x.count {
                        columns.apply(i, to: row, offset: 0, stride: channels, channels, into: strip, at: (line * x.count + i) * channels)
                    }
                }
            }
        }
        strip.withUnsafeBufferPointer { strip in
            result.withUnsafeMutableBufferPointer { result in
                let lineBytes = x.count * channels
                for j in 0..<y.count {
                    for i in 0..<x.count {
                        rows.apply(
                            j, to: strip, offset: i * channels - first * lineBytes, stride: lineBytes, channels, into: result,
                            at: j * lineBytes + i * channels)
                    }
                }
            }
        }
        return try Picture(width: x.count, height: y.count, channels: channels, pixels: result)
    }

    /// This picture resized to `size`.
    func resized(width: Int, height: Int, filter: ResampleFilter) throws -> Picture {
        try resized(to: (width, height), x: 0..<width, y: 0..<height, filter: filter)
    }
}

/// For each pixel of a resized line the pixels of the original it is made of, with fixed-point weights.
private struct ResampleWeights {
    private(set) var starts: [Int] = []
    private(set) var counts: [Int] = []
    private var weights: [Int32] = []
    private let reach: Int

    private static let bits: Int32 = 22

    /// Weights of the pixels `window` of a line resized from `old` to `new` pixels.
    init(from old: Int, to new: Int, window: Range<Int>, filter: Picture.ResampleFilter) {
        // An unchanged length is copied, as Pillow does, not filtered.
        guard old != new else {
            reach = 1
            starts = Array(window)
            counts = [Int](repeating: 1, count: window.count)
            weights = [Int32](repeating: 1 << Self.bits, count: window.count)
            return
        }
        let scale = Double(old) / Double(new)
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

    /// One resized pixel: `source[offset + (start + k) stride + channel]` summed over k.
    @inline(__always)
    func apply(
        _ i: Int, to source: UnsafeBufferPointer<UInt8>, offset: Int, stride: Int, _ channels: Int,
        into target: UnsafeMutableBufferPointer<UInt8>, at place: Int
    ) {
        let begin = offset + starts[i] * stride
        for channel in 0..<channels {
            var sum = Int32(1) << (Self.bits - 1)
            for k in 0..<counts[i] { sum &+= Int32(source[begin + k * stride + channel]) &* weights[i * reach + k] }
            target[place + channel] = UInt8(truncatingIfNeeded: max(0, min(255, sum >> Self.bits)))
        }
    }
}
