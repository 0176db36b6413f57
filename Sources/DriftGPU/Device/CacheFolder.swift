import Foundation

/// Where files are kept that only spare work: DRIFTGPU_CACHE, else the user's cache folder.
package enum CacheFolder {
    /// The folder `name` there; nil where there is neither.
    package static func path(_ name: String, environment: [String: String]) -> String? {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let cache = value("DRIFTGPU_CACHE") ?? value("XDG_CACHE_HOME").map { $0 + "/driftgpu" }
            ?? value("HOME").map { $0 + "/.cache/driftgpu" }
        return cache.map { $0 + "/" + name }
    }

    /// Whether a file can be written in `folder`; makes the folder. Asking for permissions would not do: root has them all, also
    /// where the file system takes nothing.
    package static func canWrite(_ folder: String) -> Bool {
        guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil else {
            return false
        }
        var template = Array((folder + "/.driftgpu-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { return false }
        defer {
            close(descriptor)
            unlink(template)
        }
        // A full disk has room for a name.
        let block = [UInt8](repeating: 0, count: 4096)
        return write(descriptor, block, block.count) == block.count
    }
}
