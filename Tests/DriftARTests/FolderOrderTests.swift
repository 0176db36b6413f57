import Foundation
import Testing

/// The folders of DriftAR know only those in front of them, so that what is used by much uses little. The compiler cannot see to it
/// within a module.
@Suite struct FolderOrderTests {
    /// From the bottom up. Folders of one line know each other: a generator's parts are named in its settings and by its loops.
    private static let order: [[String]] = [
        ["Model"], ["Configuration", "Generator", "Stages", "Heads", "Loops"], ["Checkpoint"], ["Autoencoder"], ["Sampling"],
        ["Training"], ["Metrics", "Toy"], ["Run"], ["Analysis"],
    ]
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Sources/DriftAR")

    /// The text of each file by its path, without comments and literals.
    private static func texts() throws -> [String: String] {
        var texts: [String: String] = [:]
        for case let path as String in try #require(FileManager.default.enumerator(atPath: root.path)) where path.hasSuffix(".swift") {
            texts[path] = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
                .replacing(/\/\/.*/, with: "").replacing(/"(?:\\.|[^"\\\n])*"/, with: "")
        }
        return texts
    }

    private static func folder(of path: String) -> String { String(path.prefix { $0 != "/" }) }

    @Test("no type of a later folder is named in an earlier one")
    func order() throws {
        let texts = try Self.texts()
        var homes: [String: String] = [:]
        for (path, text) in texts {
            for match in text.matches(of: /(?m)^(?:(?:public|package|final|indirect) )*(?:struct|class|enum|protocol) (\w+)/) {
                homes[String(match.1)] = Self.folder(of: path)
            }
        }
        var level: [String: Int] = [:]
        for (index, folders) in Self.order.enumerated() { for folder in folders { level[folder] = index } }
        #expect(Set(level.keys) == Set(texts.keys.map(Self.folder)), "folders without a place")
        #expect(homes.count > 100)
        for (path, text) in texts.sorted(by: { $0.key < $1.key }) {
            let own = level[Self.folder(of: path)] ?? 0
            let named = Set(text.matches(of: /\b[A-Z]\w+/).map { String($0.0) })
            let later = named.filter { name in homes[name].flatMap { level[$0] }.map { $0 > own } ?? false }
            #expect(later.isEmpty, "\(path) knows \(later.sorted())")
        }
    }
}
