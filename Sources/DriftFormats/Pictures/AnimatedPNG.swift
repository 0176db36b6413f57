import CPNG

/// An animated PNG: a picture, and pictures drawn over it one after the other, for ever. Viewers that know no animation show
/// the last of them.
///
/// All share one palette, so that an overlay is little more than what is drawn in it. libpng compresses each picture; the
/// chunks of the animation (acTL, fcTL, fdAT), which it does not know, are put around what it has compressed.
public struct AnimatedPNG: Sendable {
    /// A colour of the palette, and how opaque it is.
    public struct Colour: Sendable, Equatable {
        public let red, green, blue, alpha: UInt8
        public init(_ red: UInt8, _ green: UInt8, _ blue: UInt8, _ alpha: UInt8) {
            (self.red, self.green, self.blue, self.alpha) = (red, green, blue, alpha)
        }
    }

    /// A picture drawn over the base, and removed before the next.
    public struct Overlay: Sendable {
        /// Positions in the palette, rows from the top.
        public let pixels: [UInt8]
        public let milliseconds: Int
        public init(pixels: [UInt8], milliseconds: Int) {
            self.pixels = pixels
            self.milliseconds = milliseconds
        }
    }

    public let width: Int
    public let height: Int
    public let palette: [Colour]
    /// Positions in the palette of what lies under all overlays.
    public let base: [UInt8]
    /// How long the base is shown alone.
    public let milliseconds: Int
    public var overlays: [Overlay] = []

    public init(width: Int, height: Int, palette: [Colour], base: [UInt8], milliseconds: Int) {
        self.width = width
        self.height = height
        self.palette = palette
        self.base = base
        self.milliseconds = milliseconds
    }

    /// The bytes of the file. Throws when a picture has another size than the base, or a colour the palette does not have.
    public func encode() throws -> [UInt8] {
        guard (17...256).contains(palette.count) else {
            throw DataError("a palette of \(palette.count)", at: "animation", fix: "give 17 to 256 colours")
        }
        let bytes = try PNG.encode(still, width: width, height: height, palette: palette)
        let chunks = try PNG.chunks(bytes)
        var sequence: UInt32 = 0
        func control(_ milliseconds: Int, isOverlay: Bool) -> [UInt8] {
            defer { sequence += 1 }
            let numbers = [sequence, UInt32(width), UInt32(height), 0, 0].flatMap(PNG.bigEndianBytes)
            let delay = UInt16(clamping: milliseconds)
            // Over a base that stays, an overlay is blended and then taken back.
            let times = [delay, 1000].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
            let operations: [UInt8] = isOverlay ? [2, 1] : [0, 0]
            return PNG.chunk("fcTL", numbers + times + operations)
        }
        func data(_ pixels: [UInt8]) throws -> [UInt8] {
            let encoded = try PNG.encode(pixels, width: width, height: height, palette: palette)
            return try PNG.chunks(encoded).filter { $0.kind == "IDAT" }.flatMap { chunk in
                defer { sequence += 1 }
                return PNG.chunk("fdAT", PNG.bigEndianBytes(sequence) + chunk.body)
            }
        }
        var result = PNG.signature
        for chunk in chunks where chunk.kind != "IEND" {
            // The still picture is no frame of the animation: its data come before the first control chunk.
            if chunk.kind == "PLTE" {
                result += PNG.chunk("acTL", PNG.bigEndianBytes(UInt32(1 + overlays.count)) + [0, 0, 0, 0])
            }
            result += PNG.chunk(chunk.kind, chunk.body)
        }
        result += control(milliseconds, isOverlay: false)
        result += try data(base)
        for overlay in overlays {
            result += control(overlay.milliseconds, isOverlay: true)
            result += try data(overlay.pixels)
        }
        return result + PNG.chunk("IEND", [])
    }

    /// The last overlay on the base, in the palette's nearest colours.
    private var still: [UInt8] {
        guard let last = overlays.last, last.pixels.count == base.count else { return base }
        var known: [Int: UInt8] = [:]
        return zip(base, last.pixels).map { under, over in
            if palette.indices.contains(Int(over)), palette[Int(over)].alpha == 0 { return under }
            let pair = Int(under) << 8 | Int(over)
            if let index = known[pair] { return index }
            let index = nearest(to: over, on: under)
            known[pair] = index
            return index
        }
    }

    private func nearest(to over: UInt8, on under: UInt8) -> UInt8 {
        guard palette.indices.contains(Int(over)), palette.indices.contains(Int(under)) else { return under }
        func channels(_ colour: Colour) -> [Int] { [colour.red, colour.green, colour.blue].map(Int.init) }
        let part = Int(palette[Int(over)].alpha)
        let wanted = zip(channels(palette[Int(under)]), channels(palette[Int(over)])).map {
            ($0 * (255 - part) + $1 * part) / 255
        }
        // Opacity shows on white here: among colours that are not opaque, the shade counts.
        func distance(_ colour: Colour) -> Int {
            let alpha = Int(colour.alpha)
            return zip(channels(colour), wanted).reduce(0) { sum, pair in
                let difference = (pair.0 * alpha + 250 * (255 - alpha)) / 255 - pair.1
                return sum + difference * difference
            }
        }
        let best = palette.indices.filter { palette[$0].alpha > 0 }.min { distance(palette[$0]) < distance(palette[$1]) }
        return UInt8(best ?? Int(under))
    }
}

extension PNG {
    /// A picture of positions in a palette, as libpng encodes it.
    package static func encode(_ pixels: [UInt8], width: Int, height: Int, palette: [AnimatedPNG.Colour]) throws -> [UInt8] {
        guard width > 0, height > 0, NamedTensor.elementCount(of: [width, height]) == pixels.count,
            pixels.allSatisfy({ Int($0) < palette.count })
        else {
            throw DataError(
                "\(pixels.count) pixels for \(width) x \(height) of \(palette.count) colours", at: "PNG",
                fix: "give every pixel one of the palette's colours")
        }
        var control = png_image()
        control.version = png_uint_32(PNG_IMAGE_VERSION)
        control.width = png_uint_32(width)
        control.height = png_uint_32(height)
        control.format = png_uint_32(PNG_FORMAT_FLAG_COLORMAP | PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA)
        control.colormap_entries = png_uint_32(palette.count)
        defer { png_image_free(&control) }
        let colours = palette.flatMap { [$0.red, $0.green, $0.blue, $0.alpha] }
        var size = png_alloc_size_t(pixels.count + height + pixels.count / 500 + 4096)
        var bytes = [UInt8](repeating: 0, count: Int(size))
        guard png_image_write_to_memory(&control, &bytes, &size, 0, pixels, png_int_32(width), colours) != 0 else {
            throw DataError("cannot be encoded: \(message(control))", at: "PNG", fix: "report the size of the picture")
        }
        bytes.removeLast(bytes.count - Int(size))
        return bytes
    }

    /// The chunks of an encoded picture.
    package static func chunks(_ bytes: [UInt8]) throws -> [(kind: String, body: ArraySlice<UInt8>)] {
        var result: [(kind: String, body: ArraySlice<UInt8>)] = []
        var i = signature.count
        while i + 12 <= bytes.count {
            let length = Int(bigEndian(bytes, i))
            guard length <= bytes.count - i - 12 else { break }
            result.append((String(decoding: bytes[(i + 4)..<(i + 8)], as: UTF8.self), bytes[(i + 8)..<(i + 8 + length)]))
            i += 12 + length
        }
        guard i == bytes.count, result.last?.kind == "IEND" else {
            throw DataError("chunks do not end with the file", at: "PNG", fix: "take another copy of the file")
        }
        return result
    }

    /// One chunk with its length and checksum.
    package static func chunk(_ kind: String, _ body: some Sequence<UInt8>) -> [UInt8] {
        let checked = Array(kind.utf8) + body
        return bigEndianBytes(UInt32(checked.count - 4)) + checked + bigEndianBytes(CRC32.of(checked))
    }
}
