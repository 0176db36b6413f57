/// What a file is that was given for weights and is none, told by its first bytes.
enum FileSignature {
    /// An error that names what the file is and how to get at weights; nil where its beginning tells nothing.
    static func error(of file: InputFile) throws -> DataError? {
        let head = try head(of: file)
        func wrong(_ what: String, _ remedy: String) -> DataError { DataError(what, at: file.path, fix: remedy) }
        if head.isEmpty { return wrong("an empty file", "copy or download it again") }
        if let (_, name, remedy) = packed.first(where: { head.starts(with: $0.magic) }) { return wrong(name, remedy) }
        if head.count >= 262, head[257..<262].elementsEqual("ustar".utf8) { return wrong("a tar archive", "unpack it first: tar -xf") }
        if let (_, name) = others.first(where: { head.starts(with: $0.magic) }) {
            return wrong("\(name), not weights", "name a .safetensors file or one that torch.save wrote")
        }
        if head.count > 1, head[0] == 0x80, (2...5).contains(head[1]) {
            return wrong("a pickle of Python that torch.save did not write", "save the tensors with torch.save or as safetensors")
        }
        return text(head).map { wrong($0.what, $0.remedy) }
    }

    private static func head(of file: InputFile) throws -> [UInt8] {
        var head = [UInt8](repeating: 0, count: min(file.byteCount, 512))
        try head.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        return head
    }

    private static let packed: [(magic: [UInt8], name: String, remedy: String)] = [
        ([0x1F, 0x8B], "a gzip file", "unpack it first: gunzip, or tar -xf for a .tar.gz"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "an xz file", "unpack it first: unxz"),
        ([0x42, 0x5A, 0x68], "a bzip2 file", "unpack it first: bunzip2"),
        ([0x28, 0xB5, 0x2F, 0xFD], "a zstd file", "unpack it first: unzstd"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7z archive", "unpack it first"),
        ([0x52, 0x61, 0x72, 0x21], "a rar archive", "unpack it first"),
        ([0x50, 0x4B, 0x05, 0x06], "a zip file that holds nothing", "take another copy"),
    ]
    private static let others: [(magic: [UInt8], name: String)] = [
        (Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) }), "an array of numpy (.npy)"),
        ([0x89, 0x48, 0x44, 0x46], "an HDF5 file"), (Array("GGUF".utf8), "a GGUF file"),
        ([0x89, 0x50, 0x4E, 0x47], "a PNG picture"), ([0xFF, 0xD8, 0xFF], "a JPEG picture"), (Array("%PDF".utf8), "a PDF document"),
        ([0x7F, 0x45, 0x4C, 0x46], "a program"),
    ]

    private static func text(_ head: [UInt8]) -> (what: String, remedy: String)? {
        // The end of the head may cut a character in two.
        let decoded = String(decoding: head.dropLast(head.count == 512 ? 3 : 0), as: UTF8.self)
        let hasControl = decoded.unicodeScalars.contains { $0.value < 0x20 && !["\t", "\n", "\r", "\u{C}"].contains($0) || $0 == "\u{FFFD}" }
        guard !hasControl else { return nil }
        let start = decoded.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
        let lower = start.prefix(64).lowercased()
        if lower.hasPrefix("version https://git-lfs") {
            return ("a pointer of git-lfs, which stands for the file", "fetch the file itself: git lfs pull")
        }
        if ["<!doctype", "<html", "<?xml", "<head"].contains(where: lower.hasPrefix) {
            return ("a web page, not the file it should be", "download it again; the page says why it was not given (open it in a browser)")
        }
        if lower.hasPrefix("{") || lower.hasPrefix("[") {
            return ("a JSON file, not weights", "name the weights beside it, or the index of sharded ones (model.safetensors.index.json)")
        }
        let line = start.prefix { !$0.isNewline }.prefix(60)
        return ("a text file, not weights (\"\(line)\")", "download the file itself")
    }
}
