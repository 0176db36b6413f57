import Foundation

@testable import DriftAR

/// Files that PyTorch wrote (Tests/Fixtures/pytorch, made by make.py there), and what it reads from them.
enum PyTorchFixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/pytorch").path

    static func path(_ name: String) -> String { Files.join(folder, name) }

    /// The tensors of a fixture as PyTorch sees them, by path.
    static func expected(_ name: String) throws -> [String: NamedTensor] {
        let all = try SafeTensorsFile(path("expected.safetensors"))
        let prefix = name + "/"
        return try Dictionary(
            uniqueKeysWithValues: all.names.filter { $0.hasPrefix(prefix) }.map { ($0.replacing(prefix, with: "", maxReplacements: 1), try all.tensor($0)) })
    }
}
