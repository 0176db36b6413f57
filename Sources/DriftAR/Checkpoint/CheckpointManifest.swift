import DriftFormats

/// What a checkpoint consists of: `manifest.json` beside its files.
struct CheckpointManifest: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        let byteCount: Int
        let checksum: UInt32
    }

    static let name = "manifest.json"
    private static let format = 1

    let step: Int
    let entries: [String: Entry]

    init(step: Int, entries: [String: Entry]) {
        self.step = step
        self.entries = entries
    }

    init(readFrom folder: String, remedy: String) throws {
        let path = Files.join(folder, Self.name)
        guard Files.exists(path) else { throw DataError("missing", at: path, fix: remedy) }
        let bytes = try Files.read(path)
        guard let json = try? JSON.parse(bytes), let step = json["step"]?.integer, let files = json["files"]?.members else {
            throw DataError("damaged: no manifest of a checkpoint", at: path, fix: remedy)
        }
        guard json["format"]?.integer == Self.format else {
            throw DataError("a checkpoint of format \(json["format"]?.text ?? "?"), this program reads \(Self.format)",
                            at: path, fix: "use the version of the program that wrote it")
        }
        var entries: [String: Entry] = [:]
        for file in files {
            guard let byteCount = file.value["bytes"]?.integer,
                  let checksum = file.value["crc32"]?.string.flatMap({ UInt32($0, radix: 16) }),
                  !file.key.contains("/")
            else { throw DataError("damaged: bad entry '\(file.key)'", at: path, fix: remedy) }
            entries[file.key] = Entry(byteCount: byteCount, checksum: checksum)
        }
        self.init(step: step, entries: entries)
    }

    func write(to folder: String) throws {
        let files = entries.sorted { $0.key < $1.key }.map { name, entry in
            let hex = String(entry.checksum, radix: 16)
            return JSON.Member(name, .object([
                JSON.Member("bytes", .integer(entry.byteCount)),
                JSON.Member("crc32", .string(String(repeating: "0", count: 8 - hex.count) + hex)),
            ]))
        }
        let json = JSON.object([
            JSON.Member("format", .integer(Self.format)), JSON.Member("step", .integer(step)),
            JSON.Member("files", .object(files)),
        ])
        try AtomicFile.write(text: json.text + "\n", to: Files.join(folder, Self.name))
    }

    /// Throws for the first file that is missing, of another size or of another checksum. `names`: the files to look at; nil: all.
    func verify(_ names: [String]? = nil, in folder: String, remedy: String) throws {
        if let lacking = names?.first(where: { entries[$0] == nil }) {
            throw DataError("the checkpoint has no such file", at: Files.join(folder, lacking), fix: remedy)
        }
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) where names?.contains(name) ?? true {
            let path = Files.join(folder, name)
            guard Files.exists(path) else { throw DataError("missing", at: path, fix: remedy) }
            // What the system refuses has a remedy of its own: the file may be good.
            let file = try InputFile(path)
            guard file.byteCount == entry.byteCount else {
                let state = file.byteCount < entry.byteCount ? "truncated" : "too long"
                throw DataError("\(state): \(file.byteCount) of \(entry.byteCount) bytes", at: path, fix: remedy)
            }
            guard try file.checksum(of: 0..<file.byteCount) == entry.checksum else {
                throw DataError("damaged: its checksum is not the one it was saved with", at: path, fix: remedy)
            }
        }
    }
}
