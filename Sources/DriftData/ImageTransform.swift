import DriftFormats

/// Brings pictures of any size to the one a model takes, as the ADM code (guided-diffusion) does: halved by a box filter
/// while both sides stay at least twice too long, resized by an antialiased bicubic filter until the picture just covers the
/// target, cropped.
public struct ImageTransform: Sendable, Equatable {
    /// The part of a picture that is taken.
    public enum Crop: String, Codable, Sendable, CaseIterable {
        /// The centre of the smallest cover.
        case centre
        /// A random place of a cover up to a quarter larger.
        case random
    }

    public let channels: Int
    public let height: Int
    public let width: Int

    public init(channels: Int, height: Int, width: Int) {
        (self.channels, self.height, self.width) = (channels, height, width)
    }

    /// Values of an image.
    public var valueCount: Int { channels * height * width }

    /// The picture as [C, H, W] in [-1, 1], written to a buffer of exactly that size.
    package func write(_ picture: Picture, _ variant: ImageVariant, to buffer: UnsafeMutableBufferPointer<Float>) throws {
        let picture = try cropped(picture.converted(channels: channels), variant.crop)
        let plane = height * width
        picture.pixels.withUnsafeBufferPointer { pixels in
            for y in 0..<height {
                for x in 0..<width {
                    let source = (y * width + (variant.isFlipped ? width - 1 - x : x)) * channels
                    for c in 0..<channels {
                        buffer[c * plane + y * width + x] = Float(pixels[source + c]) / 127.5 - 1
                    }
                }
            }
        }
    }

    /// The part of the picture that becomes the image, [H, W].
    func cropped(_ picture: Picture, _ draw: ImageVariant.CropDraw? = nil) throws -> Picture {
        let short = min(height, width)
        // At most 1 / 0.8 of the shorter side, as in ADM's random_crop_arr.
        let shortCover = draw.map { $0.size.choice(short...(5 * short + 3) / 4) } ?? short
        let coverWidth = (width * shortCover + short - 1) / short
        let coverHeight = (height * shortCover + short - 1) / short
        var picture = picture
        while picture.width >= 2 * coverWidth, picture.height >= 2 * coverHeight {
            picture = try picture.resized(width: picture.width / 2, height: picture.height / 2, filter: .box)
        }
        let scale = max(Double(coverWidth) / Double(picture.width), Double(coverHeight) / Double(picture.height))
        func scaled(_ length: Int, atLeast cover: Int) -> Int {
            max(cover, Int((Double(length) * scale).rounded(.toNearestOrEven)))
        }
        let size = (width: scaled(picture.width, atLeast: coverWidth), height: scaled(picture.height, atLeast: coverHeight))
        let left = draw.map { $0.x.choice(0...(size.width - width)) } ?? (size.width - width) / 2
        let top = draw.map { $0.y.choice(0...(size.height - height)) } ?? (size.height - height) / 2
        return try picture.resized(to: size, x: left..<(left + width), y: top..<(top + height), filter: .bicubic)
    }
}

/// How an image is taken when it is drawn.
public struct ImageVariant: Sendable, Hashable {
    /// Random bits that place a random crop.
    public struct CropDraw: Sendable, Hashable {
        package let size: UInt32
        package let y: UInt32
        package let x: UInt32

        package init(size: UInt32, y: UInt32, x: UInt32) {
            (self.size, self.y, self.x) = (size, y, x)
        }
    }

    public var isFlipped = false
    public var crop: CropDraw?

    package init(isFlipped: Bool = false, crop: CropDraw? = nil) {
        (self.isFlipped, self.crop) = (isFlipped, crop)
    }

    /// As it is: not flipped, cropped in the centre.
    public static let plain = ImageVariant()
}

extension UInt32 {
    /// One of the numbers, each nearly as likely as the others.
    fileprivate func choice(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int((UInt64(self) * UInt64(range.count)) >> 32)
    }
}
