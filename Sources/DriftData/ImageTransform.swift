import DriftFormats

/// Brings pictures of any size to the one a model takes, as the ADM code (guided-diffusion) does: halved by a box filter
/// while both sides stay at least twice too long, resized by an antialiased bicubic filter until the picture just covers the
/// target, cropped. JPEG files are halved by their decoder, up to three times, which is faster and nearer to the picture:
/// libjpeg-turbo computes fewer pixels of a block.
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

    /// The picture as values [C, H, W] in [-1, 1].
    package func values(of picture: Picture) throws -> [Float] {
        var bytes = [UInt8](repeating: 0, count: valueCount)
        try bytes.withUnsafeMutableBytes { try write(picture, .plain, to: $0) }
        return bytes.map(Picture.value)
    }

    /// The picture as bytes [C, H, W], written to a buffer of exactly that size.
    package func write(_ picture: Picture, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        try write(ReducedPicture(picture), variant, to: buffer)
    }

    private func write(_ reduced: ReducedPicture, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        let converted = ReducedPicture(try reduced.picture.converted(channels: channels), width: reduced.width, height: reduced.height)
        let picture = try cropped(converted, variant.crop)
        let plane = height * width
        picture.pixels.withUnsafeBufferPointer { pixels in
            for y in 0..<height {
                for x in 0..<width {
                    let source = (y * width + (variant.isFlipped ? width - 1 - x : x)) * channels
                    for c in 0..<channels { buffer[c * plane + y * width + x] = pixels[source + c] }
                }
            }
        }
    }

    /// The picture of a file as bytes [C, H, W], written to a buffer of exactly that size. Where the format can, the decoder does
    /// the first halvings.
    package func write(file path: String, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        let cover = cover(variant.crop)
        try write(ReducedPicture.read(path) { Self.halvings(width: $0, height: $1, to: cover) }, variant, to: buffer)
    }

    /// The part of the picture that becomes the image, [H, W].
    func cropped(_ picture: Picture, _ draw: ImageVariant.CropDraw? = nil) throws -> Picture {
        try cropped(ReducedPicture(picture), draw)
    }

    /// The same of a picture whose first halvings are done.
    func cropped(_ reduced: ReducedPicture, _ draw: ImageVariant.CropDraw? = nil) throws -> Picture {
        let cover = cover(draw)
        var reduced = reduced
        for _ in 0..<Self.halvings(width: Int(reduced.width), height: Int(reduced.height), to: cover) {
            let size = (width: Int(reduced.width) / 2, height: Int(reduced.height) / 2)
            reduced = ReducedPicture(try reduced.resized(to: size, x: 0..<size.width, y: 0..<size.height, filter: .box))
        }
        let (ownWidth, ownHeight) = (Int(reduced.width), Int(reduced.height))
        let scale = max(Double(cover.width) / Double(ownWidth), Double(cover.height) / Double(ownHeight))
        func scaled(_ length: Int, atLeast cover: Int) -> Int {
            max(cover, Int((Double(length) * scale).rounded(.toNearestOrEven)))
        }
        let size = (width: scaled(ownWidth, atLeast: cover.width), height: scaled(ownHeight, atLeast: cover.height))
        let left = draw.map { $0.x.choice(0...(size.width - width)) } ?? (size.width - width) / 2
        let top = draw.map { $0.y.choice(0...(size.height - height)) } ?? (size.height - height) / 2
        return try reduced.resized(to: size, x: left..<(left + width), y: top..<(top + height), filter: .bicubic)
    }

    /// The least size that a picture is brought to before it is cropped.
    private func cover(_ draw: ImageVariant.CropDraw?) -> (width: Int, height: Int) {
        let short = min(height, width)
        // At most 1 / 0.8 of the shorter side, as in ADM's random_crop_arr.
        let shortCover = draw.map { $0.size.choice(short...(5 * short + 3) / 4) } ?? short
        return ((width * shortCover + short - 1) / short, (height * shortCover + short - 1) / short)
    }

    /// How often a picture is halved: while both sides stay at least as long as the cover's.
    private static func halvings(width: Int, height: Int, to cover: (width: Int, height: Int)) -> Int {
        var count = 0
        while width >> (count + 1) >= cover.width, height >> (count + 1) >= cover.height { count += 1 }
        return count
    }
}

/// How an image is read: mirrored or not, and which part of the picture.
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
