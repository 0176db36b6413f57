import DriftFormats

/// The pictures in a folder and in the folders below it, in the order of torchvision's `ImageFolder`: folder after folder by the
/// bytes of their paths, in each its files by the bytes of their names. Links to folders are followed, hidden names left out.
struct PictureTree {
    /// Paths within the folder.
    private(set) var pictures: [String] = []
    /// Number of files that are no pictures this program reads, by their ending ("" for none).
    private(set) var leftOut: [String: Int] = [:]

    init(_ folder: String) throws {
        var byFolder: [(path: String, names: [String])] = []
        try visit(folder, "", above: [], &byFolder)
        byFolder.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        pictures = byFolder.flatMap { folder in folder.names.map { Files.join(folder.path, $0) } }
    }

    /// - Parameter above: identities of the folders on the way here: a link to one of them would never end.
    private mutating func visit(
        _ root: String, _ path: String, above: [[UInt64]], _ byFolder: inout [(path: String, names: [String])]
    ) throws {
        let folder = path.isEmpty ? root : Files.join(root, path)
        guard let identity = Files.identity(folder), !above.contains(identity) else { return }
        var names: [String] = []
        for entry in try Files.entries(in: folder) where !entry.name.hasPrefix(".") {
            if entry.isFolder {
                try visit(root, Files.join(path, entry.name), above: above + [identity], &byFolder)
            } else if PictureFormat.isPicture(entry.name) {
                names.append(entry.name)
            } else {
                leftOut[Self.ending(of: entry.name), default: 0] += 1
            }
        }
        if !names.isEmpty { byFolder.append((path, names)) }
    }

    private static func ending(of name: String) -> String {
        guard let dot = name.lastIndex(of: ".") else { return "" }
        return name[dot...].lowercased()
    }

    /// How many files of which ending those are, the most frequent first: "20 .gif, 3 .tiff, 1 without ending".
    static func text(ofLeftOut endings: [String: Int]) -> String {
        let most = 5
        let sorted = endings.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let shown = sorted.prefix(most).map { "\($0.value) \($0.key.isEmpty ? "without ending" : $0.key.shortened(to: 20))" }
        let rest = sorted.dropFirst(most).reduce(0) { $0 + $1.value }
        return (shown + (rest > 0 ? ["\(rest) others"] : [])).joined(separator: ", ")
    }
}
