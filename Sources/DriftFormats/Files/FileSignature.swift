/// What a file is, told by its first bytes, where it was given for something else.
package struct FileSignature {
    package enum Kind {
        /// Files in a file, or one that is compressed.
        case packed
        /// What stands in a file's place when it was not fetched.
        case standIn
        case arrays, picture, other
    }

    /// How many of a file's first bytes are looked at.
    static let headCount = 512

    package let kind: Kind
    /// What it is, with its article.
    package let what: String
    /// How to get at what is wanted; nil where that depends on what is wanted.
    package let remedy: String?

    /// What a file with the first bytes `head` is; nil where they tell nothing.
    init?(_ head: [UInt8]) {
        if let known = Self.known.first(where: { head.starts(with: $0.magic) }) {
            self.init(known.kind, known.what, known.remedy)
        } else if head.count >= 262, head[257..<262].elementsEqual("ustar".utf8) {
            self.init(.packed, "a tar archive", "unpack it first: tar -xf")
        } else if head.count > 1, head[0] == 0x80, (2...5).contains(head[1]) {
            self.init(.other, "a pickle of Python", nil)
        } else {
            self.init(text: head)
        }
    }

    private init(_ kind: Kind, _ what: String, _ remedy: String?) { (self.kind, self.what, self.remedy) = (kind, what, remedy) }

    private static let known: [(magic: [UInt8], kind: Kind, what: String, remedy: String?)] = [
        ([0x1F, 0x8B], .packed, "a gzip file", "unpack it first: gunzip, or tar -xf for a .tar.gz"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], .packed, "an xz file", "unpack it first: unxz"),
        (Array("BZh".utf8), .packed, "a bzip2 file", "unpack it first: bunzip2"),
        ([0x28, 0xB5, 0x2F, 0xFD], .packed, "a zstd file", "unpack it first: unzstd"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], .packed, "a 7z archive", "unpack it first"),
        (Array("Rar!".utf8), .packed, "a rar archive", "unpack it first"),
        ([0x50, 0x4B, 0x05, 0x06], .packed, "a zip file that holds nothing", "take another copy"),
        (NPY.magic, .arrays, "an array of numpy (.npy)", nil),
        ([0x89] + Array("HDF".utf8), .arrays, "an HDF5 file", nil),
        (Array("PAR1".utf8), .arrays, "a parquet file", nil), (Array("ARROW1".utf8), .arrays, "an Arrow file", nil),
        ([0x89] + Array("PNG".utf8), .picture, "a PNG picture", nil), ([0xFF, 0xD8, 0xFF], .picture, "a JPEG picture", nil),
        (Array("GGUF".utf8), .other, "a GGUF file", nil), (Array("%PDF".utf8), .other, "a PDF document", nil),
        ([0x7F] + Array("ELF".utf8), .other, "a program", nil),
    ]

    private init?(text head: [UInt8]) {
        var whole = head[...]
        if head.count == Self.headCount {
            // The end of the head may cut a character in two: what there is of it goes.
            whole = whole.dropLast(head.reversed().prefix(3).prefix { $0 & 0xC0 == 0x80 }.count)
            if let last = whole.last, last >= 0xC0 { whole.removeLast() }
        }
        let decoded = String(decoding: whole, as: UTF8.self)
        let hasControl = decoded.unicodeScalars.contains { $0.value < 0x20 && !["\t", "\n", "\r", "\u{C}"].contains($0) || $0 == "\u{FFFD}" }
        guard !head.isEmpty, !hasControl else { return nil }
        let start = decoded.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
        let lower = start.prefix(64).lowercased()
        if lower.hasPrefix("version https://git-lfs") {
            self.init(.standIn, "a pointer of git-lfs, which stands for the file", "fetch the file itself: git lfs pull")
        } else if ["<!doctype", "<html", "<?xml", "<head"].contains(where: lower.hasPrefix) {
            self.init(.standIn, "a web page, not the file it should be",
                      "download it again; the page says why it was not given (open it in a browser)")
        } else if lower.hasPrefix("{") || lower.hasPrefix("[") {
            self.init(.other, "a JSON file", nil)
        } else {
            self.init(.other, "a text file (\"\(start.prefix { !$0.isNewline }.prefix(60))\")", "download the file itself")
        }
    }
}

extension FileSignature {
    /// The error for a file that was given for weights and is none; nil where its beginning tells nothing.
    static func weightsError(_ file: InputFile) throws -> DataError? {
        let head = try file.beginning(headCount)
        if head.isEmpty { return DataError("an empty file", at: file.path, fix: "copy or download it again") }
        guard let signature = FileSignature(head) else { return nil }
        switch signature.kind {
        case .packed, .standIn:
            return DataError(signature.what, at: file.path, fix: signature.remedy ?? "")
        case .arrays, .picture, .other:
            let index = signature.what == "a JSON file" ? ", or the index of sharded ones (model.safetensors.index.json)" : ""
            return DataError("\(signature.what), not weights", at: file.path,
                             fix: signature.remedy ?? "name a .safetensors file or one that torch.save wrote\(index)")
        }
    }

    /// Throws for a file that was given for data and is of another kind than IDX, with what it is and what is to be done.
    package static func checkData(_ path: String) throws {
        let head = try GzipFile(path).beginning(headCount)
        let unpack = "unpack it and name the folder that comes out"
        let pictures = "write its pictures to FOLDER/CLASS/*.png and name the folder"
        if head.starts(with: ZipArchive.magic) {
            let names = (try? ZipArchive(path).entries.keys.sorted()) ?? []
            guard !names.isEmpty, names.allSatisfy({ $0.hasSuffix(".npy") }) else {
                throw DataError("a zip archive", at: path, fix: unpack)
            }
            let arrays = names.prefix(5).map { $0.dropLast(4) }.joined(separator: ", ")
            throw DataError("an .npz archive of the arrays \(arrays)\(names.count > 5 ? ", ..." : "")", at: path, fix: pictures)
        }
        if PictureFormat(head) != nil { throw DataError("one picture", at: path, fix: "name a folder with CLASS/*.png or .jpg") }
        guard let signature = FileSignature(head) else { return }
        let remedy =
            switch signature.kind {
            case .packed: unpack
            case .arrays: pictures
            case .standIn, .picture, .other: signature.remedy ?? "name a folder with CLASS/*.png or .jpg, or IDX files"
            }
        throw DataError(signature.what, at: path, fix: remedy)
    }

    /// The error for a file at `path` that begins with `head` where it cannot be read for what its name says, because it is
    /// packed or stands in another's place; nil for every other reason.
    package static func missing(_ head: [UInt8], at path: String) -> DataError? {
        guard let signature = FileSignature(head), let remedy = signature.remedy else { return nil }
        return [.packed, .standIn].contains(signature.kind) ? DataError(signature.what, at: path, fix: remedy) : nil
    }
}
