import DriftFormats
import DriftGPU
import Foundation

/// A folder of figures that were computed once, each with what it depends on.
final class FigureStore {
    private let folder: String
    private let isAnew: Bool
    /// Figures that were computed, and those that were there.
    private(set) var counts = (computed: 0, kept: 0)

    private struct Kept<Figures: Codable>: Codable {
        let identity: [String]
        let figures: Figures
    }

    /// Makes the folder. `isAnew`: passes over what it holds.
    init(_ folder: String, isAnew: Bool = false) throws {
        (self.folder, self.isAnew) = (folder, isAnew)
        try Files.makeFolder(folder)
    }

    /// A 64-bit hash in hexadecimal.
    static func hash(_ texts: [String]) -> String {
        var hash = WordHash()
        for byte in texts.joined(separator: "\n").utf8 { hash.add(UInt32(byte)) }
        return hash.text
    }

    /// Where what is called `kind` and depends on `identity` lies.
    func path(_ kind: String, _ identity: [String], ending: String = "json") -> String {
        Files.join(folder, "\(kind)-\(Self.hash(identity)).\(ending)")
    }

    /// The figures of a kind that depend on `identity`, if they are here. A file that is damaged or of another form is none.
    func known<Figures: Codable>(_ kind: String, _ identity: [String], as type: Figures.Type = Figures.self) -> Figures? {
        guard !isAnew, let bytes = try? Files.read(path(kind, identity)),
            let kept = try? JSONDecoder().decode(Kept<Figures>.self, from: Data(bytes)), kept.identity == identity
        else { return nil }
        counts.kept += 1
        return kept.figures
    }

    /// Keeps figures that have just been computed.
    func keep<Figures: Codable>(_ figures: Figures, _ kind: String, _ identity: [String]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(Kept(identity: identity, figures: figures))
        try AtomicFile.write([UInt8](data) + [UInt8(ascii: "\n")], to: path(kind, identity), synced: false)
        counts.computed += 1
    }
}
