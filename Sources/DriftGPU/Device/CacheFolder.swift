/// Where files are kept that only spare work: DRIFTGPU_CACHE, else the user's cache folder.
package enum CacheFolder {
    /// The folder `name` there; nil where there is neither.
    package static func path(_ name: String, environment: [String: String]) -> String? {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let cache = value("DRIFTGPU_CACHE") ?? value("XDG_CACHE_HOME").map { $0 + "/driftgpu" }
            ?? value("HOME").map { $0 + "/.cache/driftgpu" }
        return cache.map { $0 + "/" + name }
    }
}
