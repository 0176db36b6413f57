import DriftGPU
import Foundation
import Testing

@Suite struct DriverCacheTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("driftgpu-cache-" + UUID().uuidString)

    /// A path below a plain file: nobody can make a folder there, root neither.
    private func blocked() throws -> String {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("file").path
        try Data().write(to: URL(fileURLWithPath: file))
        return file + "/home"
    }

    @Test("PoCL's own folder is left alone where it can be written")
    func usual() throws {
        _ = try blocked()
        defer { try? FileManager.default.removeItem(at: folder) }
        for environment in [["HOME": folder.path], ["XDG_CACHE_HOME": folder.path, "HOME": "/proc/x"], ["POCL_CACHE_DIR": folder.path]] {
            #expect(DriverCache.usual(environment).hasPrefix(folder.path))
            #expect(DriverCache.replacement(environment: environment, temporary: folder.path) == nil)
        }
    }

    @Test("else it is our cache folder, else one of our own among temporary files")
    func replaced() throws {
        let none = try blocked()
        defer { try? FileManager.default.removeItem(at: folder) }
        let cache = folder.path + "/cache"
        for environment in [["HOME": none], ["POCL_CACHE_DIR": none, "HOME": folder.path], ["XDG_CACHE_HOME": none], ["POCL_CACHE_DIR": ""]] {
            let own = environment.merging(["DRIFTGPU_CACHE": cache]) { $1 }
            #expect(DriverCache.replacement(environment: own, temporary: folder.path) == cache + "/pocl")
            let without = ["HOME": none].merging(environment) { $1 }.merging(["DRIFTGPU_CACHE": none]) { $1 }
            let temporary = try #require(DriverCache.replacement(environment: without, temporary: folder.path))
            #expect(temporary == folder.path + "/driftgpu-\(geteuid())/pocl")
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.path + "/driftgpu-\(geteuid())")
            #expect(attributes[.posixPermissions] as? Int == 0o700)
        }
        #expect(DriverCache.replacement(environment: ["HOME": none], temporary: none) == nil)
    }

    @Test("a folder that others can write is not trusted with kernels")
    func open() throws {
        let none = try blocked()
        defer { try? FileManager.default.removeItem(at: folder) }
        let shared = folder.path + "/driftgpu-\(geteuid())"
        try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: true)
        chmod(shared, 0o777)
        #expect(DriverCache.replacement(environment: ["HOME": none], temporary: folder.path) == nil)
    }
}
