/// The kinds of picture files that are read. What a file is, its first bytes say, not its name.
package enum PictureFormat: CaseIterable, Sendable {
    case png
    case jpeg
    case webP
    case bmp

    /// Endings of names, in small letters.
    package static let endings = [".png", ".jpg", ".jpeg", ".webp", ".bmp"]
    /// The endings in a sentence.
    package static let endingsText = endings.dropLast().joined(separator: ", ") + " or " + (endings.last ?? "")

    init?(_ bytes: [UInt8]) {
        guard let format = Self.allCases.first(where: { $0.isBegun(by: bytes) }) else { return nil }
        self = format
    }

    private func isBegun(by bytes: [UInt8]) -> Bool {
        switch self {
        case .png: bytes.starts(with: PNG.signature)
        case .jpeg: bytes.starts(with: JPEG.signature)
        case .webP: bytes.starts(with: Array("RIFF".utf8)) && bytes.dropFirst(8).starts(with: Array("WEBP".utf8))
        case .bmp: bytes.starts(with: Array("BM".utf8))
        }
    }

    /// Whether a file of that name is taken for a picture.
    package static func isPicture(_ name: String) -> Bool {
        let small = name.lowercased()
        return endings.contains { small.hasSuffix($0) }
    }

    package func decode(_ bytes: [UInt8]) throws -> Picture {
        switch self {
        case .png: try PNG.decode(bytes)
        case .jpeg: try JPEG.decode(bytes)
        case .webP: try WebP.decode(bytes)
        case .bmp: try BMP.decode(bytes)
        }
    }

    /// Channels of the picture that a file holds, 1 or 3, by its header alone. Throws where that is damaged.
    package static func channels(of path: String) throws -> Int {
        let file = try InputFile(path)
        let short = min(file.byteCount, 1 << 16)
        let bytes = try file.beginning(short)
        switch PictureFormat(bytes) {
        case .png: return try PNG.channels(bytes)
        // Profiles and previews may stand before what says how many channels there are.
        case .jpeg: return try (try? JPEG.channels(bytes)) ?? JPEG.channels(file.beginning(file.byteCount))
        case .webP: return 3
        case .bmp: return try BMP.channels(bytes)
        case nil: throw Picture.unknown(bytes, at: path)
        }
    }
}
