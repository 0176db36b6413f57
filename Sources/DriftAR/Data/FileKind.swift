/// Kinds of files that people name as data although only what is in them can be read.
enum FileKind {
    private static let archiveEndings = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar"]

    /// Whether a file of that name is an archive of files.
    static func isArchive(_ name: String) -> Bool {
        let small = name.lowercased()
        return archiveEndings.contains { small.hasSuffix($0) }
    }

    /// Throws for a file that is of another kind than IDX, with what it is and what is to be done.
    static func refuseOthers(_ path: String) throws {
        let file = try GzipFile(path)
        let bytes = try file.beginning(512)
        func refuse(_ what: String, _ remedy: String) -> DataError { DataError(what, at: path, fix: remedy) }
        func begins(_ text: String) -> Bool { bytes.starts(with: Array(text.utf8)) }
        let unpack = "unpack it and name the folder that comes out"
        let pictures = "write its pictures to FOLDER/CLASS/*.png and name the folder"
        if bytes.starts(with: ZipArchive.magic) {
            let names = (try? ZipArchive(path).entries.keys.sorted()) ?? []
            guard !names.isEmpty, names.allSatisfy({ $0.hasSuffix(".npy") }) else { throw refuse("a zip archive", unpack) }
            let arrays = names.prefix(5).map { $0.dropLast(4) }.joined(separator: ", ")
            throw refuse("an .npz archive of the arrays \(arrays)\(names.count > 5 ? ", ..." : "")", pictures)
        }
        if bytes.dropFirst(257).starts(with: Array("ustar".utf8)) { throw refuse("a tar archive", unpack) }
        if bytes.starts(with: NPY.magic) { throw refuse("a NumPy array", pictures) }
        if begins("PAR1") { throw refuse("a parquet file", pictures) }
        if begins("ARROW1") { throw refuse("an Arrow file", pictures) }
        if bytes.starts(with: [0x89] + Array("HDF\r\n".utf8)) { throw refuse("an HDF5 file", pictures) }
        let packed: [[UInt8]] = [
            Array("BZh".utf8), [0xFD] + Array("7zXZ".utf8), [0x28, 0xB5, 0x2F, 0xFD], Array("7z".utf8) + [0xBC, 0xAF], Array("Rar!".utf8),
        ]
        if packed.contains(where: { bytes.starts(with: $0) }) { throw refuse("a packed file", unpack) }
        if PictureFormat(bytes) != nil { throw refuse("one picture", "name a folder with CLASS/*.png or .jpg") }
    }
}
