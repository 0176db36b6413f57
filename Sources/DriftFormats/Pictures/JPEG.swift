import CJPEG

/// JPEG files: baseline and progressive, gray, RGB, YCbCr, CMYK and YCCK; the last two become RGB.
///
/// An orientation in the file's EXIF data is not applied, as in Pillow.
public enum JPEG {
    /// The picture of a JPEG file as gray or RGB. Throws for damaged files and for ones that end early.
    public static func decode(_ bytes: [UInt8]) throws -> Picture { try decode(bytes) { _, _ in 0 }.picture }

    /// The picture halved as often as `halvings` says of its size, three times at most, while it is decoded: most of the work of larger
    /// pictures is left out. A value is about the mean of those it stands for, as by a box filter, with less aliasing.
    package static func decode(_ bytes: [UInt8], _ halvings: ReducedPicture.Halvings) throws -> ReducedPicture {
        var message = [CChar](repeating: 0, count: Int(CJPEG_MESSAGE_BYTES))
        var header = try header(bytes)
        let (width, height, channels) = (Int(header.width), Int(header.height), Int(header.channels))
        // Two bits for a block of 64 pixels are the least that Huffman coding takes, a progressive file's first pass one.
        guard width > 0, height > 0, width * height <= 1 << 28, width * height / 1024 <= bytes.count else {
            throw DataError("\(width) x \(height) pixels in \(bytes.count) bytes", at: place, fix: remedy)
        }
        let shrink = 1 << min(3, max(0, halvings(width, height)))
        let (columns, rows) = ((width + shrink - 1) / shrink, (height + shrink - 1) / shrink)
        var pixels = [UInt8](repeating: 0, count: columns * rows * channels)
        guard cjpeg_decode(bytes, bytes.count, &header, UInt32(shrink), &pixels, &message) == 0 else {
            throw DataError("damaged JPEG: \(text(message))", at: place, fix: remedy)
        }
        return ReducedPicture(
            try Picture(width: columns, height: rows, channels: channels, pixels: pixels), width: Double(width) / Double(shrink),
            height: Double(height) / Double(shrink))
    }

    /// Channels of the picture, 1 or 3, by the header alone.
    package static func channels(_ bytes: [UInt8]) throws -> Int { Int(try header(bytes).channels) }

    private static func header(_ bytes: [UInt8]) throws -> cjpeg_header {
        var message = [CChar](repeating: 0, count: Int(CJPEG_MESSAGE_BYTES))
        var header = cjpeg_header()
        guard cjpeg_read_header(bytes, bytes.count, &header, &message) == 0 else {
            throw DataError("no readable JPEG: \(text(message))", at: place, fix: remedy)
        }
        return header
    }

    /// The first bytes of every JPEG file.
    static let signature: [UInt8] = [0xFF, 0xD8, 0xFF]
    private static let place = Picture.place
    private static let remedy = "take another copy of the file"

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
