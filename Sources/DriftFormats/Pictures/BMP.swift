/// Windows bitmaps as nearly all programs write them: 1, 4 or 8 bits with a palette, 24 or 32 bits, not compressed. The fourth
/// byte of 32 bits is passed over, as by Pillow.
package enum BMP {
    /// The picture, gray where its palette is gray, else RGB. Errors are at `Picture.place`.
    package static func decode(_ bytes: [UInt8]) throws -> Picture {
        let header = try Header(bytes)
        let (width, height) = (header.width, header.height)
        let lineBytes = (width * header.bits + 31) / 32 * 4
        guard header.start <= bytes.count, lineBytes <= (bytes.count - header.start) / height else {
            throw wrong("damaged BMP: \(width) x \(height) pixels of \(header.bits) bits in \(bytes.count) bytes")
        }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * header.channels)
        for y in 0..<height {
            let line = header.start + (header.isTopDown ? y : height - 1 - y) * lineBytes
            for x in 0..<width {
                if header.bits >= 24 {
                    let pixel = line + x * header.bits / 8
                    pixels += [bytes[pixel + 2], bytes[pixel + 1], bytes[pixel]]
                    continue
                }
                let bit = x * header.bits
                let index = Int(bytes[line + bit / 8]) >> (8 - header.bits - bit % 8) & (1 << header.bits - 1)
                guard index < header.palette.count else {
                    throw wrong("damaged BMP: colour \(index) of \(header.palette.count)")
                }
                pixels += header.palette[index].prefix(header.channels)
            }
        }
        return try Picture(width: width, height: height, channels: header.channels, pixels: pixels)
    }

    /// Channels of the picture, 1 or 3, by header and palette alone.
    package static func channels(_ bytes: [UInt8]) throws -> Int { try Header(bytes).channels }

    private static func wrong(_ what: String, _ remedy: String = "take another copy of the file") -> DataError {
        DataError(what, at: Picture.place, fix: remedy)
    }

    private struct Header {
        let width: Int
        let height: Int
        let isTopDown: Bool
        let bits: Int
        /// Where the pixels begin.
        let start: Int
        /// Red, green and blue.
        let palette: [[UInt8]]

        var channels: Int { bits <= 8 && palette.allSatisfy { $0[0] == $0[1] && $0[1] == $0[2] } ? 1 : 3 }

        init(_ bytes: [UInt8]) throws {
            var cursor = ByteCursor(bytes, at: 10)
            func next<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Int {
                guard let number = cursor.integer(type) else { throw BMP.wrong("no readable BMP: it ends inside its header") }
                return Int(number)
            }
            start = try next(UInt32.self)
            let size = try next(UInt32.self)
            // OS/2's header is short, all later ones begin alike.
            let isShort = size == 12
            guard isShort || size >= 40 else { throw BMP.wrong("no readable BMP: a header of \(size) bytes") }
            width = try isShort ? next(UInt16.self) : next(Int32.self)
            let lines = try isShort ? next(UInt16.self) : next(Int32.self)
            (height, isTopDown) = (abs(lines), lines < 0)
            guard width > 0, height > 0 else { throw BMP.wrong("no readable BMP: \(width) x \(lines) pixels") }
            _ = try next(UInt16.self)
            bits = try next(UInt16.self)
            let compression = try isShort ? 0 : next(UInt32.self)
            var colours = 0
            if !isShort {
                _ = cursor.take(12)
                colours = try next(UInt32.self)
            }
            var isPlain = compression == 0 && [1, 4, 8, 24, 32].contains(bits)
            if compression == 3, bits == 32 {
                // Fields of bits, which may be those of the plain layout.
                cursor = ByteCursor(bytes, at: 54)
                isPlain = try [next(UInt32.self), next(UInt32.self), next(UInt32.self)] == [0xFF0000, 0xFF00, 0xFF]
            }
            guard isPlain else {
                throw BMP.wrong("a BMP of \(bits) bits and compression \(compression), which is not read", "convert it to PNG")
            }
            guard bits <= 8 else {
                palette = []
                return
            }
            let most = 1 << bits
            cursor = ByteCursor(bytes, at: 14 + size)
            palette = try (0..<(colours == 0 ? most : min(colours, most))).map { _ in
                guard let entry = cursor.take(isShort ? 3 : 4) else { throw BMP.wrong("no readable BMP: it ends inside its palette") }
                return entry.prefix(3).reversed()
            }
        }
    }
}
