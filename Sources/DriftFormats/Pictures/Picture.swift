/// An 8-bit picture: gray (1 channel) or RGB (3), rows from the top, channels interleaved.
public struct Picture: Sendable, Equatable {
    public let width: Int
    public let height: Int
    public let channels: Int
    public internal(set) var pixels: [UInt8]

    public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) throws {
        guard channels == 1 || channels == 3, width > 0, height > 0,
              NamedTensor.elementCount(of: [height, width, channels]) == pixels.count
        else {
            throw DataError("\(pixels.count) values for \(width) x \(height) pixels of \(channels) channels", at: "picture",
                            fix: "give width x height values for gray, three times as many for RGB")
        }
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// One image [C, H, W] with values in [-1, 1]; outside values are clamped.
    public init(image: [Float], channels: Int, height: Int, width: Int) throws {
        self = try Picture(grid: image, shape: [1, channels, height, width], columns: 1, scale: 1, margin: 0)
    }

    /// Images [N, C, H, W] with values in [-1, 1] as one picture, row by row.
    ///
    /// - Parameters:
    ///   - columns: images in a row; by default about as many as rows.
    ///   - scale: every pixel becomes scale x scale pixels.
    ///   - margin: pixels of the picture between images and around them.
    public init(grid images: [Float], shape: [Int], columns: Int? = nil, scale: Int = 1, margin: Int = 1) throws {
        func wrong(_ what: String, _ remedy: String) -> DataError { DataError(what, at: "image grid", fix: remedy) }
        guard shape.count == 4, shape.allSatisfy({ $0 > 0 }), shape[1] == 1 || shape[1] == 3 else {
            throw wrong("images of the shape \(shape)", "give [N, C, H, W] with C = 1 or 3")
        }
        guard NamedTensor.elementCount(of: shape) == images.count else {
            throw wrong("\(images.count) values for the shape \(shape)", "give as many values as the shape has elements")
        }
        guard scale >= 1, scale <= 1024, margin >= 0, margin <= 1024, columns.map({ $0 >= 1 }) ?? true else {
            throw wrong("columns \(columns ?? 0), scale \(scale), margin \(margin)",
                        "give at least one column, a scale of 1 to 1024 and a margin of 0 to 1024")
        }
        let (count, channels, height, width) = (shape[0], shape[1], shape[2], shape[3])
        let columns = min(columns ?? Int(Double(count).squareRoot().rounded(.up)), count)
        let rows = (count + columns - 1) / columns
        let (cellWidth, cellHeight) = (width * scale + margin, height * scale + margin)
        let (wide, wideOverflow) = columns.multipliedReportingOverflow(by: cellWidth)
        let (high, highOverflow) = rows.multipliedReportingOverflow(by: cellHeight)
        let limit = 1 << 20
        guard !wideOverflow, !highOverflow, wide < limit, high < limit, (wide + margin) * (high + margin) <= 1 << 29 else {
            throw wrong("the picture of \(count) images at scale \(scale) would be too large",
                        "show fewer images or lower the scale")
        }
        var pixels = [UInt8](repeating: Self.background, count: (wide + margin) * (high + margin) * channels)
        let lineBytes = (wide + margin) * channels
        for n in 0..<count {
            let top = margin + n / columns * cellHeight
            let left = margin + n % columns * cellWidth
            for y in 0..<height {
                let line = (top + y * scale) * lineBytes + left * channels
                for x in 0..<width {
                    for c in 0..<channels {
                        let byte = Self.byte(images[((n * channels + c) * height + y) * width + x])
                        for repeated in 0..<scale { pixels[line + (x * scale + repeated) * channels + c] = byte }
                    }
                }
                for repeated in 1..<scale {
                    for i in 0..<width * scale * channels { pixels[line + repeated * lineBytes + i] = pixels[line + i] }
                }
            }
        }
        try self.init(width: wide + margin, height: high + margin, channels: channels, pixels: pixels)
    }

    /// The pixels as [C, H, W] with values in [-1, 1].
    public var image: [Float] {
        var image = [Float](repeating: 0, count: pixels.count)
        let plane = width * height
        for i in 0..<plane {
            for c in 0..<channels { image[c * plane + i] = Self.value(pixels[i * channels + c]) }
        }
        return image
    }

    /// Between white digits on black and photographs, a dark gray shows where an image ends.
    private static let background: UInt8 = 64

    /// 0...255 to [-1, 1].
    package static func value(_ byte: UInt8) -> Float { Float(byte) / 127.5 - 1 }

    /// [-1, 1] to 0...255, rounded; what is not a number shows as black.
    package static func byte(_ value: Float) -> UInt8 {
        guard value > -1 else { return 0 }
        return value >= 1 ? 255 : UInt8((value + 1) * 127.5 + 0.5)
    }
}
