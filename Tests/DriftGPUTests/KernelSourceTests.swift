import Checks
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

    /// Operations that write to stored tensors, draw random numbers or only serve others: no case of a family makes them, so
    /// each names the suite that tests it.
    private static let testedElsewhere = [
        "Accumulate": "AccumulateTests", "GradientNorm": "AdamWTests", "AdamWStep": "AdamWTests",
        "MemoryBankAdd": "MemoryBankTests", "MemoryBankDraw": "MemoryBankTests", "Random": "RandomTests",
        "DropoutMask": "DropoutTests", "Copy": "ExecutorTests", "CounterStep": "CounterTests", "Detach": "GradientsTests",
    ]

    /// Every type of operation in the sources is made by a case of a family, on one of the shapes.
    @Test func everyOperationHasACase() throws {
        var made: Set<String> = []
        for operation in OperationFamily.all.flatMap(\.cases) {
            let graph = Graph()
            let tensors = try operation.tensors(in: graph)
            let outputs = try operation.build(graph, tensors)
            outputs.forEach(graph.output)
            let targets = zip(operation.inputs, tensors).filter { $0.isDifferentiable && $1.type.element == .float32 }
            if !targets.isEmpty {
                let seeds = try (operation.gradientOutputs ?? Array(outputs.indices)).map { index in
                    (tensor: outputs[index], seed: try graph.input("seed\(index)", outputs[index].shape))
                }
                try graph.gradients(of: seeds, withRespectTo: targets.map(\.1)).compactMap { $0 }.forEach(graph.output)
            }
            made.formUnion(graph.nodes.map { String(describing: type(of: $0.operation)) })
        }
        var defined: Set<String> = []
        let engine = Self.root.appendingPathComponent("Sources/DriftGPU")
        for path in files(in: engine, ".swift") {
            let text = try String(contentsOf: engine.appendingPathComponent(path), encoding: .utf8)
            for match in text.matches(of: /struct (\w+): Operation\b/) { defined.insert(String(match.1)) }
        }
        #expect(defined.count > 50)
        let elsewhere = Set(Self.testedElsewhere.keys)
        #expect(defined.subtracting(made) == elsewhere)
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        for (operation, suite) in Self.testedElsewhere {
            let text = try String(contentsOf: tests.appendingPathComponent(suite + ".swift"), encoding: .utf8)
            #expect(text.contains("@Test"), "\(suite) holds no test of \(operation)")
        }
    }

    /// A file of operations has a file of tests of the same name.
    @Test func everyOperationIsTested() throws {
        // Parts of other operations, and operations tested under the name of what they serve.
        let parts: Set = ["ItemLaunch", "RowGroups"]
        let operations = files(in: Self.root.appendingPathComponent("Sources/DriftGPU/Operations"), ".swift")
            .map { ($0 as NSString).lastPathComponent }
        #expect(operations.count > 40)
        let tests = Set(
            try FileManager.default.contentsOfDirectory(atPath: URL(fileURLWithPath: #filePath).deletingLastPathComponent().path))
        for file in operations.sorted() {
            let name = String(file.dropLast(".swift".count))
            if !parts.contains(name) { #expect(tests.contains(name + "Tests.swift"), "no tests of \(name)") }
        }
    }
}
