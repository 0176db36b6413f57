import CWebP

/// WebP files of one picture, lossy and lossless. The format has no gray: a picture is always RGB.
package enum WebP {
    /// The picture as RGB; transparency is shown on white. Errors are at `Picture.place`.
    package static func decode(_ bytes: [UInt8]) throws -> Picture {
        func wrong(_ what: String, _ remedy: String = "take another copy of the file") -> DataError {
            DataError(what, at: Picture.place, fix: remedy)
        }
        var features = WebPBitstreamFeatures()
        guard WebPGetFeatures(bytes, bytes.count, &features) == VP8_STATUS_OK else { throw wrong("no readable WebP") }
        guard features.has_animation == 0 else { throw wrong("an animated WebP", "take one of its pictures") }
        let (width, height, channels) = (Int(features.width), Int(features.height), features.has_alpha == 0 ? 3 : 4)
        // One colour takes no bits at all, so that a header alone can claim any size.
        guard width > 0, height > 0, width * height <= max(1 << 24, 8192 * bytes.count) else {
            throw wrong("\(width) x \(height) pixels in \(bytes.count) bytes")
        }
        var pixels = [UInt8](repeating: 255, count: width * height * channels)
        let decode = channels == 3 ? WebPDecodeRGBInto : WebPDecodeRGBAInto
        guard decode(bytes, bytes.count, &pixels, pixels.count, Int32(width * channels)) != nil else {
            throw wrong("damaged WebP")
        }
        return try channels == 3
            ? Picture(width: width, height: height, channels: 3, pixels: pixels)
            : Picture(width: width, height: height, onWhite: pixels, channels: 4)
    }
}
