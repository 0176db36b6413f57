extension Picture {
    /// The picture of a file of any `PictureFormat`, as gray or RGB; transparency is shown on white.
    public static func read(_ path: String) throws -> Picture {
        let bytes = try Files.read(path)
        return try naming(path) { try decode(bytes) }
    }

    /// What `body` gives; its errors at `place` become errors of the file at `path`.
    static func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DataError where error.place == place {
            throw DataError(error.what, at: path, fix: error.remedy)
        }
    }

    /// The picture of a file's bytes. Errors are at `place`.
    package static func decode(_ bytes: [UInt8]) throws -> Picture {
        guard let format = PictureFormat(bytes) else { throw unknown(bytes, at: place) }
        return try format.decode(bytes)
    }

    /// What errors call a picture whose file is not known.
    package static let place = "picture"

    static func unknown(_ bytes: [UInt8], at place: String) -> DataError {
        FileSignature.missing(Array(bytes.prefix(FileSignature.headCount)), at: place)
            ?? DataError(bytes.isEmpty ? "empty" : "neither PNG, JPEG, WebP nor BMP", at: place, fix: "convert it to PNG or JPEG")
    }

    /// A picture with a last channel of opacity, as it looks on white: 2 channels become 1, 4 become 3. The values are blended as
    /// they are stored, as Pillow and browsers do, each rounded to the nearest.
    package init(width: Int, height: Int, onWhite pixels: [UInt8], channels: Int) throws {
        let colours = channels - 1
        let opaque = [UInt8](unsafeUninitializedCapacity: pixels.count / channels * colours) { buffer, filled in
            for i in 0..<pixels.count / channels {
                let opacity = UInt32(pixels[i * channels + colours])
                for c in 0..<colours {
                    // The nearest to x / 255 of every x below 2^16.
                    let x = UInt32(pixels[i * channels + c]) * opacity + 255 * (255 - opacity) + 128
                    buffer[i * colours + c] = UInt8((x + (x >> 8)) >> 8)
                }
            }
            filled = pixels.count / channels * colours
        }
        try self.init(width: width, height: height, channels: colours, pixels: opaque)
    }

    /// The same picture with 1 (gray) or 3 channels (RGB). Gray is 0.299 R + 0.587 G + 0.114 B, rounded as Pillow does.
    package func converted(channels target: Int) throws -> Picture {
        if target == channels { return self }
        var converted: [UInt8] = []
        converted.reserveCapacity(width * height * target)
        if channels == 1 {
            for value in pixels { for _ in 0..<target { converted.append(value) } }
        } else {
            for i in stride(from: 0, to: pixels.count, by: 3) {
                let (r, g, b) = (UInt32(pixels[i]), UInt32(pixels[i + 1]), UInt32(pixels[i + 2]))
                converted.append(UInt8((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16))
            }
        }
        return try Picture(width: width, height: height, channels: target, pixels: converted)
    }
}
