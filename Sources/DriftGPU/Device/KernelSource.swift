import Foundation
import Kernels

/// The OpenCL C text: embedded in the binary, or read from the folder that DRIFTGPU_KERNELS names.
public struct KernelSource: Sendable {
    private let files: [String: String]

    /// Throws a `DeviceError` when DRIFTGPU_KERNELS names a folder that cannot be read.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        try self.init(folder: environment["DRIFTGPU_KERNELS"])
    }

    /// The embedded text; that of `folder` where it is given and not empty. Throws a `DeviceError` when it cannot be read.
    init(folder: String?) throws {
        var files: [String: String] = [:]
        var count = 0
        if let sources = driftgpu_kernel_sources(&count) {
            for source in UnsafeBufferPointer(start: sources, count: count) {
                let bytes = UnsafeRawBufferPointer(start: source.text, count: source.length)
                files[String(cString: source.name)] = String(decoding: bytes, as: UTF8.self)
            }
        }
        if let folder, !folder.isEmpty {
            let paths = Self.paths(in: folder)
            for name in files.keys where name != "kernels.cl" {
                guard let data = paths[name].flatMap({ FileManager.default.contents(atPath: $0) }) else {
                    throw DeviceError("DRIFTGPU_KERNELS: \(folder) holds no \(name) to read; name the folder of the .cl files")
                }
                files[name] = String(decoding: data, as: UTF8.self)
            }
        }
        self.files = files
    }

    /// The .cl files in `folder` and its subfolders by name; the families lie in folders by subject.
    private static func paths(in folder: String) -> [String: String] {
        var paths: [String: String] = [:]
        for case let path as String in FileManager.default.enumerator(atPath: folder) ?? .init() where path.hasSuffix(".cl") {
            paths[(path as NSString).lastPathComponent] = folder + "/" + path
        }
        return paths
    }

    /// The text of `file` with every `#include "…"` replaced by the file's text, each file once.
    public func expanded(_ file: String) throws -> String {
        var seen: Set<String> = []
        return try expand(file, &seen)
    }

    private func expand(_ file: String, _ seen: inout Set<String>) throws -> String {
        guard let text = files[file] else { throw DeviceError("kernel source \(file): no such file") }
        seen.insert(file)
        var result = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#include \"") {
                let name = line.dropFirst("#include \"".count).prefix { $0 != "\"" }
                if !seen.contains(String(name)) { result += try expand(String(name), &seen) }
            } else {
                result += line
            }
            result += "\n"
        }
        return result
    }
}
