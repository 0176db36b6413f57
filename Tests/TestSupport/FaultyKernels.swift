import Foundation

/// A copy of the kernels with something wrong in one of them, for DRIFTGPU_KERNELS.
public enum FaultyKernels {
    /// Lends the path of a copy in which the text of `file` (elementwise/add.cl) is what `change` makes of it.
    public static func with<Result>(
        _ file: String, _ change: (String) -> String, _ body: (String) throws -> Result
    ) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("faulty-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/Kernels")
        try FileManager.default.copyItem(at: sources, to: folder)
        let place = folder.appendingPathComponent(file)
        let text = try String(contentsOf: place, encoding: .utf8)
        let changed = change(text)
        guard changed != text else { throw Unchanged(file: file) }
        try Data(changed.utf8).write(to: place)
        return try body(folder.path)
    }

    /// The fault is not in the copy: the kernel's text has changed since the test was written.
    struct Unchanged: Error { let file: String }
}
