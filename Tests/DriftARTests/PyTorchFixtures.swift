import Foundation

@testable import DriftAR
@testable import DriftFormats

/// Files that PyTorch wrote (Tests/Fixtures/pytorch, made by make.py there), and what it reads from them.
enum PyTorchFixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/pytorch").path

    static func path(_ name: String) -> String { Files.join(folder, name) }

    /// The tensors of a fixture as PyTorch sees them, by path.
    static func expected(_ name: String) throws -> [String: NamedTensor] {
        let all = try SafeTensorsFile(path("expected.safetensors"))
        let prefix = name + "/"
        let names = all.names.filter { $0.hasPrefix(prefix) }
        return try Dictionary(uniqueKeysWithValues: names.map { (String($0.dropFirst(prefix.count)), try all.tensor($0)) })
    }
}
