import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct DiTHeadTests {
    /// The model of Tests/Fixtures/dit/make.py: `plain` as DiT has it, `modern` with RoPE, QK-norm and SwiGLU.
    private static func model(_ name: String) throws -> (head: DiTHead, layout: ParameterLayout) {
        var shape = DiTHead.Shape(rows: 2, columns: 3, tokenWidth: 4, embed: 16, heads: 2, depth: 2, classes: 3)
        if name == "modern" { (shape.hasRotary, shape.normsQueryKey, shape.hasSwiGLU) = (true, true, true) }
        return try model(shape)
    }

    private static func model(_ shape: DiTHead.Shape) throws -> (head: DiTHead, layout: ParameterLayout) {
        let head = DiTHead(shape)
        let generator = try Generator(
            UnconditionedStage(classes: shape.classes), head, classes: shape.classes, tokens: shape.tokens, tokenWidth: shape.tokenWidth)
        return (head, generator.layout)
    }

    private static var fixture: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/dit/expected.safetensors").path
    }

    /// Output and every gradient against PyTorch in double precision.
    @Test(arguments: ["plain", "modern"], TestDevice.teams)
    func agreesWithPyTorch(_ name: String, _ shape: TeamShape) throws {
        let model = try Self.model(name)
        let file = try SafeTensorsFile(Self.fixture)
        func expected(_ key: String, _ shape: [Int]) throws -> [Float] { try file.floats("\(name)/\(key)", shape: shape) }
        try TestDevice.with(shape) { device in
            let memory = DeviceMemory(device)
            var values = [Float](repeating: 0, count: model.layout.count)
            for entry in model.layout.entries {
                let part = try expected("parameter/" + entry.name, entry.shape)
                values.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: part)
            }
            try memory.write(values, to: model.layout.storage("parameters"))
            let graph = Graph()
            let scope = ParameterScope(graph, model.layout)
            let noise = try graph.input("noise", [4, 6, 4])
            let labels = try graph.input("labels", [2], .int32)
            let guidance = try graph.input("guidance", [2, GuidanceFeatures.count])
            let seed = try graph.input("seed", noise.shape)
            let output = try model.head(noise: noise, labels: labels, guidance: guidance, scope)
            let targets = try [noise] + model.layout.entries.map { try scope.parameter($0.name) }
            let gradients = try graph.gradients(of: [(output, seed)], withRespectTo: targets)
            ([output] + gradients.compactMap { $0 }).forEach(graph.output)
            let executor = try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: memory)
            try executor.write(expected("noise", noise.shape), to: noise)
            try executor.write(expected("seed", noise.shape), to: seed)
            try executor.write([2, 3] as [Int32], to: labels)
            try executor.write(GuidanceFeatures.values(expected("strengths", [2])), to: guidance)
            try executor.run()
            func compare(_ tensor: Tensor?, _ key: String) throws {
                guard let tensor else {
                    Issue.record("\(name): no \(key)")
                    return
                }
                let want = try expected(key, tensor.shape)
                let largest = want.reduce(1e-3) { max($0, abs($1)) }
                let worst = zip(try executor.read(tensor) as [Float], want).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
                #expect(worst < 2e-5 * largest, "\(name), \(shape), \(key): \(worst) of \(largest)")
            }
            try compare(output, "output")
            try compare(gradients[0], "dnoise")
            for (entry, gradient) in zip(model.layout.entries, gradients.dropFirst()) {
                // A key's bias shifts all scores of a query alike: its gradient is rounding noise where nothing norms the keys.
                try compare(gradient, "gradient/" + entry.name)
            }
        }
    }

    @Test func shapesMustAgree() throws {
        let model = try Self.model("plain")
        let graph = Graph()
        let scope = ParameterScope(graph, model.layout)
        let labels = try graph.input("labels", [2], .int32)
        let guidance = try graph.input("guidance", [2, GuidanceFeatures.count])
        for (index, shape) in [[3, 6, 4], [4, 5, 4], [4, 6, 3]].enumerated() {
            let noise = try graph.input("noise\(index)", shape)
            #expect(throws: GraphError.self) { try model.head(noise: noise, labels: labels, guidance: guidance, scope) }
        }
    }

    /// At the start every block passes its input on, so that depth does not matter; images differ, classes do not yet.
    @Test func startsAsOneLayer() throws {
        func output(depth: Int) throws -> [Float] {
            try TestDevice.with(.cpu16) { device in
                let model = try Self.model(
                    DiTHead.Shape(rows: 2, columns: 2, tokenWidth: 4, embed: 16, heads: 2, depth: depth, classes: 3))
                let memory = DeviceMemory(device)
                // The parameters in front of and behind the blocks, drawn alike for either depth.
                let shared = try Self.model(
                    DiTHead.Shape(rows: 2, columns: 2, tokenWidth: 4, embed: 16, heads: 2, depth: 0, classes: 3))
                let values = try shared.layout.initialValues(of: shared.head.declarations, seed: 1)
                var all = try model.layout.initialValues(of: model.head.declarations, seed: 1)
                for entry in shared.layout.entries {
                    guard let place = model.layout[entry.name] else { continue }
                    for k in 0..<entry.count { all[place.offset + k] = values[entry.offset + k] }
                }
                try memory.write(all, to: model.layout.storage("parameters"))
                let graph = Graph()
                let noise = try graph.input("noise", [2, 4, 4])
                let output = try model.head(
                    noise: noise, labels: graph.constant("labels", [0, 1] as [Int32], [2]),
                    guidance: graph.constant("guidance", GuidanceFeatures.values([1, 1]), [2, GuidanceFeatures.count]),
                    ParameterScope(graph, model.layout))
                graph.output(output)
                let executor = try Executor(Schedule(graph, traits: device.traits, gemm: device.gemm), memory: memory)
                try executor.write((0..<noise.count).map { Float($0 % 16) / 8 - 1 }, to: noise)
                try executor.run()
                return try executor.read(output)
            }
        }
        let (shallow, deep) = (try output(depth: 1), try output(depth: 3))
        #expect(shallow == deep)
        #expect(Set(shallow).count > 8)
        #expect(Array(shallow[..<16]) == Array(shallow[16...]))
    }

    /// The first half of a row is the same along a line of patches, the second down a column; no two places are alike, and
    /// none is lost behind the embedded noise.
    @Test func positionsAreToldApartFromTheStart() throws {
        let (rows, columns, width) = (3, 5, 18)
        let model = try Self.model(
            .init(rows: rows, columns: columns, tokenWidth: 4, embed: width, heads: 1, depth: 1, classes: 2))
        let values = try model.layout.initialValues(of: model.head.declarations, seed: 1)
        let entry = try #require(model.layout["pos_embed"])
        let table = (0..<(rows * columns)).map { Array(values[(entry.offset + $0 * width)..<(entry.offset + ($0 + 1) * width)]) }
        for (token, row) in table.enumerated() {
            #expect(row[..<8] == table[token / columns * columns][..<8])
            #expect(row[8..<16] == table[token % columns][8..<16])
            #expect(row[16...].allSatisfy { $0 == 0 })
            // sin^2 + cos^2 = 1 for each of the eight frequencies.
            #expect(abs(row.reduce(0) { $0 + $1 * $1 } - 8) < 1e-5)
            #expect(abs(row[0] - Float(sin(Double(token / columns)))) < 1e-6)
            #expect(abs(row[13] - Float(cos(Double(token % columns) * 0.1))) < 1e-6)
        }
        #expect(Set(table).count == rows * columns)
    }
}
