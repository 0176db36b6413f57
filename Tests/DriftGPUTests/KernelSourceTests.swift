import Foundation
import Testing

@testable import DriftGPU

@Suite struct KernelSourceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let folder = root.appendingPathComponent("Sources/Kernels")

    /// Files below `folder` that end in `suffix`, by their paths in it.
    private func files(in folder: URL, _ suffix: String) -> [String] {
        (FileManager.default.enumerator(atPath: folder.path) ?? .init()).compactMap { $0 as? String }.filter { $0.hasSuffix(suffix) }
    }

    private func families() -> [String] { files(in: Self.folder, ".cl").map { ($0 as NSString).lastPathComponent }.sorted() }

    @Test func everyFamilyIsEmbeddedAndUpToDate() throws {
        let sources = try KernelSource(environment: [:])
        let fromFolder = try KernelSource(environment: ["DRIFTGPU_KERNELS": Self.folder.path])
        for family in families() {
            #expect(try sources.expanded(family) == fromFolder.expanded(family), "\(family)")
        }
        #expect(try sources.expanded("kernels.cl") == fromFolder.expanded("kernels.cl"))
    }

    @Test func programIncludesEveryFamilyOnce() throws {
        let text = try String(contentsOf: Self.root.appendingPathComponent("kernels.cl"), encoding: .utf8)
        let included = text.split(separator: "\n").filter { $0.hasPrefix("#include \"") }
            .compactMap { $0.split(separator: "\"").dropFirst().first.map(String.init) }
        #expect(included.sorted() == families())
        let program = try KernelSource(environment: [:]).expanded("kernels.cl")
        #expect(!program.contains("\n#include"))
        for kernel in ["add_forward", "copy_forward", "layer_norm_forward"] {
            #expect(program.components(separatedBy: "void \(kernel)(").count == 2, "\(kernel)")
        }
    }

    @Test func foldersAreRead() throws {
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent("kernels-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: Self.folder, to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        try Data("// changed\n".utf8).write(to: copy.appendingPathComponent("elementwise/add.cl"))
        let sources = try KernelSource(environment: ["DRIFTGPU_KERNELS": copy.path])
        #expect(try sources.expanded("add.cl").hasPrefix("// changed"))
        try FileManager.default.removeItem(at: copy.appendingPathComponent("elementwise/add.cl"))
        let error = #expect(throws: DeviceError.self) { try KernelSource(environment: ["DRIFTGPU_KERNELS": copy.path]) }
        #expect(error.map { $0.description.contains("add.cl") } == true)
    }

    @Test func unknownFilesAreErrors() throws {
        #expect(throws: DeviceError.self) { try KernelSource(environment: [:]).expanded("other.cl") }
    }
}
