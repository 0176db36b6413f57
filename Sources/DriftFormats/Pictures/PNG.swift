import CPNG

/// PNG files of 8-bit gray and RGB pictures, with text entries.
public enum PNG {
    /// A text entry of a PNG file, for example the settings an image was made with.
    public struct Text: Sendable, Equatable {
        public let key: String
        public let value: String

        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// Writes the picture atomically; `synced` as of `AtomicFile`.
    public static func write(_ picture: Picture, text: [Text] = [], to path: String, synced: Bool = true) throws {
        try Picture.naming(path) { try AtomicFile.write(encode(picture, text: text), to: path, synced: synced) }
    }

    /// The picture of a PNG file of any kind, as gray or RGB; transparency is shown on white.
    public static func read(_ path: String) throws -> (picture: Picture, text: [Text]) {
        let bytes = try Files.read(path)
        return try Picture.naming(path) { (try decode(bytes), text(in: bytes)) }
    }

    public static func encode(_ picture: Picture, text: [Text] = []) throws -> [UInt8] {
        var control = png_image()
        control.version = png_uint_32(PNG_IMAGE_VERSION)
        control.width = png_uint_32(picture.width)
        control.height = png_uint_32(picture.height)
        control.format = png_uint_32(picture.channels == 1 ? 0 : Int(PNG_FORMAT_FLAG_COLOR))
        defer { png_image_free(&control) }
        let stride = png_int_32(picture.width * picture.channels)
        // zlib's bound of deflated bytes, a filter byte a row and the fixed chunks, so that one pass is enough.
        let raw = picture.pixels.count + picture.height
        var size = png_alloc_size_t(raw + raw / 1000 + 12 * (raw / 8192 + 1) + 1024)
        var bytes = [UInt8](repeating: 0, count: Int(size))
        guard png_image_write_to_memory(&control, &bytes, &size, 0, picture.pixels, stride, nil) != 0 else {
            throw wrong("cannot be encoded: \(message(control))", "report the size of the picture")
        }
        bytes.removeLast(bytes.count - Int(size))
        let afterHeader = signature.count + 12 + 13
        bytes.insert(contentsOf: try text.flatMap(chunk), at: afterHeader)
        return bytes
    }

    public static func decode(_ bytes: [UInt8]) throws -> Picture {
        var control = png_image()
        control.version = png_uint_32(PNG_IMAGE_VERSION)
        defer { png_image_free(&control) }
        guard chunksFit(bytes) else { throw wrong("a chunk is longer than the rest of the file", "take another copy of the file") }
        // The decoder keeps the pointer between its two calls, so both happen inside.
        return try bytes.withUnsafeBytes { memory in
            guard png_image_begin_read_from_memory(&control, memory.baseAddress, memory.count) != 0 else {
                throw wrong("no readable PNG: \(message(control))", "take another copy of the file")
            }
            let color = control.format & png_uint_32(PNG_FORMAT_FLAG_COLOR)
            // Without a gAMA chunk 16-bit values are taken as sRGB, as 8-bit ones are, and not as linear.
            control.flags |= png_uint_32(PNG_IMAGE_FLAG_16BIT_sRGB)
            // libpng would blend with a background in linear light, which nothing else does.
            let opacity = control.format & png_uint_32(PNG_FORMAT_FLAG_ALPHA)
            control.format = color | opacity
            let channels = (color == 0 ? 1 : 3) + (opacity == 0 ? 0 : 1)
            let (width, height) = (Int(control.width), Int(control.height))
            // Deflate packs at most 1032 : 1 and a pixel takes at least one bit: a header that claims more is a lie.
            let justified = (memory.count + 64).multipliedReportingOverflow(by: 1032 * 8)
            guard let count = NamedTensor.elementCount(of: [width, height, channels]), count > 0, count <= 1 << 30,
                  justified.overflow || width * height <= justified.partialValue
            else {
                throw wrong("\(width) x \(height) pixels in \(memory.count) bytes", "take another copy of the file")
            }
            var pixels = [UInt8](repeating: 255, count: count)
            guard png_image_finish_read(&control, nil, &pixels, png_int_32(width * channels), nil) != 0 else {
                throw wrong("damaged PNG: \(message(control))", "take another copy of the file")
            }
            return try opacity == 0
                ? Picture(width: width, height: height, channels: channels, pixels: pixels)
                : Picture(width: width, height: height, onWhite: pixels, channels: channels)
        }
    }

    /// Whether the chunks in front of the image's data lie inside the file. libpng makes room for what a chunk's length says, up
    /// to 2 GiB, before it looks for the bytes.
    private static func chunksFit(_ bytes: [UInt8]) -> Bool {
        var i = signature.count
        while i + 8 <= bytes.count, !bytes[(i + 4)..<(i + 8)].elementsEqual("IDAT".utf8) {
            let length = Int(bigEndian(bytes, i))
            guard length <= bytes.count - i - 8 else { return false }
            i += 12 + length
        }
        return true
    }

    /// Channels of the picture, 1 or 3, by the header alone.
    package static func channels(_ bytes: [UInt8]) throws -> Int {
        let colourType = signature.count + 8 + 9
        guard bytes.starts(with: signature), bytes.count > colourType else {
            throw wrong("no readable PNG: it ends inside its header", "take another copy of the file")
        }
        // Types with this bit have colours, be it in a palette.
        return bytes[colourType] & 2 == 0 ? 1 : 3
    }

    /// The uncompressed text entries (tEXt and iTXt) of a PNG file; stops where the file is damaged.
    public static func text(in bytes: [UInt8]) -> [Text] {
        var texts: [Text] = []
        guard bytes.starts(with: signature) else { return texts }
        var i = signature.count
        while i + 12 <= bytes.count {
            let length = Int(bigEndian(bytes, i))
            guard length <= bytes.count - i - 12 else { break }
            let body = bytes[i + 8..<i + 8 + length]
            let kind = bytes[i + 4..<i + 8]
            if let end = body.firstIndex(of: 0) {
                let key = latin1(body[..<end])
                let rest = body[(end + 1)...]
                if kind.elementsEqual("tEXt".utf8) {
                    texts.append(Text(key, latin1(rest)))
                } else if kind.elementsEqual("iTXt".utf8), rest.count >= 4, rest.first == 0 {
                    // Compression flag and method, then language and translated key, each ended by a zero.
                    let parts = rest.dropFirst(2).split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
                    if parts.count == 3 { texts.append(Text(key, String(decoding: parts[2], as: UTF8.self))) }
                }
            }
            i += 12 + length
        }
        return texts
    }

    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    package static let place = Picture.place

    private static func wrong(_ what: String, _ remedy: String) -> DataError {
        DataError(what, at: place, fix: remedy)
    }

    /// One text chunk: tEXt while plain ASCII does (every tool reads it), iTXt otherwise. libpng's simplified
    /// interface has no text, and its full one reports errors by longjmp, which must not cross Swift frames.
    private static func chunk(_ text: Text) throws -> [UInt8] {
        let key = Array(text.key.utf8)
        guard (1...79).contains(key.count), key.allSatisfy({ (0x20..<0x7F).contains($0) }),
              key.first != 0x20, key.last != 0x20
        else { throw wrong("text key '\(text.key)' is not 1 to 79 ASCII characters", "choose another key") }
        let value = Array(text.value.utf8)
        guard !value.contains(0), value.count < 1 << 30 else {
            throw wrong("text '\(text.key)' holds a zero byte or is too long", "leave it out")
        }
        let plain = value.allSatisfy { $0 < 0x7F }
        return chunk(plain ? "tEXt" : "iTXt", key + [0] + (plain ? [] : [0, 0, 0, 0]) + value)
    }

    static func bigEndian(_ bytes: [UInt8], _ i: Int) -> UInt32 {
        bytes[i..<i + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func bigEndianBytes(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }

    private static func latin1(_ bytes: ArraySlice<UInt8>) -> String {
        String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    package static func message(_ control: png_image) -> String {
        withUnsafeBytes(of: control.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
