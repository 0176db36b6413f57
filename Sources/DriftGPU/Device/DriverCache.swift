import Foundation

/// The folder in which PoCL keeps the kernels it has compiled. Without one that it can write, PoCL says that it has no device.
package enum DriverCache {
    /// PoCL's name for the folder.
    package static let variable = "POCL_CACHE_DIR"

    /// A folder for PoCL where the one it would take cannot be written (containers, batch jobs): in our own cache folder, else
    /// below `temporary`. Nil where its own can be written, or no other can either.
    package static func replacement(
        environment: [String: String], temporary: String = FileManager.default.temporaryDirectory.path
    ) -> String? {
        // PoCL takes an empty name for a folder.
        if environment[variable] != "", CacheFolder.canWrite(usual(environment)) { return nil }
        if let own = CacheFolder.path("pocl", environment: environment), CacheFolder.canWrite(own) { return own }
        // Kernels are code: in a folder that is open to everyone, only what belongs to us is trusted.
        let shared = temporary + "/driftgpu-\(geteuid())"
        guard mkdir(shared, 0o700) == 0 || errno == EEXIST, belongsToUs(shared) else { return nil }
        let folder = shared + "/pocl"
        return CacheFolder.canWrite(folder) ? folder : nil
    }

    /// Where PoCL keeps them by itself.
    package static func usual(_ environment: [String: String]) -> String {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        return value(variable) ?? value("XDG_CACHE_HOME").map { $0 + "/pocl/kcache" }
            ?? value("HOME").map { $0 + "/.cache/pocl/kcache" } ?? "/tmp/pocl/kcache"
    }

    private static func belongsToUs(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == geteuid()
            && status.st_mode & 0o022 == 0
    }
}
