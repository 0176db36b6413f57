extension Picture {
    /// The picture of a PNG or JPEG file, as gray or RGB. What it is, its first bytes say, not its name.
    public static func read(_ path: String) throws -> Picture {
        let bytes = try Files.read(path)
        do {
            return try decode(bytes)
        } catch let error as DataError where [PNG.place, JPEG.place].contains(error.place) {
            throw DataError(error.what, at: path, fix: error.remedy)
        }
    }

    /// The picture of the bytes of a PNG or JPEG file.
    static func decode(_ bytes: [UInt8]) throws -> Picture {
        if bytes.starts(with: PNG.signature) { return try PNG.decode(bytes) }
        if bytes.starts(with: JPEG.signature) { return try JPEG.decode(bytes) }
        throw DataError("\(bytes.isEmpty ? "empty" : "neither PNG nor JPEG")", at: PNG.place, fix: "convert it to PNG or JPEG")
    }

    /// The same picture with 1 (gray) or 3 channels (RGB). Gray is 0.299 R + 0.587 G + 0.114 B, rounded as Pillow does.
    func converted(channels target: Int) throws -> Picture {
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
