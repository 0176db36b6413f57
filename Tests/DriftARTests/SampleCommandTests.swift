import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// `driftgpu sample` with the speculative loop, the label cache and the report.
@Suite(.serialized) struct SampleCommandTests {
    private static let sample = "sample --checkpoint run --labels 1,4 --per-label 2 --format npy --output pictures"

    private func pixels(_ folder: TestFolder) throws -> [Float]? { try NPY.read(folder.file("pictures/samples.npy")).floats }

    @Test("two processes on one label cache draw the same and leave one entry that both can read")
    func sharedCache() throws {
        let folder = try TestFolder()
        let environment = ["DRIFTGPU_CACHE": folder.file("cache")]
        #expect(try folder.run("train --steps 2 --output run " + Program.tiny).code == 0)
        let line = "sample --checkpoint run --labels 1,4 --per-label 2 --format npy --label-cache on --output "
        let programs = try ["a", "b"].map { try Program(line + $0, in: folder, environment: environment) }
        for program in programs {
            let (code, _, errors) = try program.finish()
            #expect(code == 0, "\(errors)")
        }
        let last = try folder.run(line + "c", environment: environment)
        #expect(last.code == 0 && last.output.contains("0 labels encoded, 2 from the cache"), "\(last.output) \(last.errors)")
        let pictures = try ["a", "b", "c"].map { try NPY.read(folder.file($0 + "/samples.npy")).floats }
        #expect(pictures[0] == pictures[1] && pictures[0] == pictures[2])
        let names = try Files.names(in: folder.file("cache/labels"))
        #expect(names.count == 1, "\(names)")
    }

    @Test("images that are not finite are counted, and none but such are an error")
    func notFinite() throws {
        let folder = try TestFolder()
        #expect(try folder.run("train --steps 1 --output run " + Program.tiny).code == 0)
        let path = folder.file("run/checkpoints/step-00000001/ema.safetensors")
        let good = try SafeTensors.read(path)
        func write(_ change: (inout [Float]) -> Void, to name: String) throws {
            var tensors = good.tensors
            let tensor = try #require(tensors[name])
            var values = try #require(tensor.floats)
            change(&values)
            tensors[name] = try NamedTensor(shape: tensor.shape, floats: values)
            try SafeTensors.write(tensors, metadata: good.metadata, to: folder.file("broken.safetensors"))
        }
        let line = "sample --checkpoint broken.safetensors --labels 1,4 --per-label 2 --output pictures"
        // The embedding of label 4.
        try write({ values in for i in (values.count * 4 / 10)..<(values.count * 5 / 10) { values[i] = .nan } }, to: "class_emb.weight")
        let some = try folder.run(line)
        #expect(some.code == 0 && some.output.contains("2 of 4 images are not finite"), "\(some.output) \(some.errors)")
        try write({ $0[0] = .infinity }, to: "enc_to_token_proj.bias")
        try folder.expectError(line, says: "none of 4 images is finite")
    }

    @Test func wholeCommand() throws {
        let folder = try TestFolder()
        let cache = ["DRIFTGPU_CACHE": folder.file("cache")]
        func run(_ line: String) throws -> Program.Result { try folder.run(line, environment: cache) }
        func expectError(_ line: String, says part: String) throws {
            try folder.expectError(line, says: part, environment: cache)
        }
        let trained = try run("train --steps 2 --output run " + Program.tiny)
        #expect(trained.code == 0, "\(trained.errors)")

        let plain = try run(Self.sample)
        #expect(plain.code == 0 && plain.output.contains("images/s (4 drawn in ") && plain.output.contains("s: prepare"), "\(plain.errors)")
        #expect(!plain.output.contains("speculative") && !Files.exists(folder.file("cache/labels")))
        let expected = try pixels(folder)

        for place in ["on", "labels.safetensors"] {
            for text in ["2 labels encoded", "0 labels encoded, 2 from the cache"] {
                let cached = try run(Self.sample + " --label-cache " + place)
                #expect(cached.code == 0 && cached.output.contains(text), "\(cached.output) \(cached.errors)")
                #expect(try pixels(folder) == expected)
            }
        }
        #expect(try Files.names(in: folder.file("cache/labels")).count == 1 && Files.exists(folder.file("labels.safetensors")))

        let speculative = try run(
            Self.sample + " --speculative --spec-threshold 1e6 --spec-gamma 0.5 --spec-iterations 3 --report report.json")
        #expect(speculative.code == 0 && speculative.output.contains("3 rounds in 1 batch"), "\(speculative.output) \(speculative.errors)")
        #expect(try pixels(folder) != expected)
        let json = try JSON.parse(Files.read(folder.file("report.json")))
        #expect(json["images"]?.integer == 4 && json["figures"]?["acceptance_rate"]?.double == 1)
        #expect(json["speculation"]?["gamma"]?.double == 0.5)
        let text = try PNG.read(folder.file("pictures/grid.png")).text
        #expect(text.contains(PNG.Text("driftgpu.speculative", "threshold 1000000.0, gamma 0.5, iterations 3, shift 0")))
        let none = try run(Self.sample + " --speculative --spec-threshold 0")
        #expect(none.code == 0 && none.output.contains("0.0 % of the positions"), "\(none.output) \(none.errors)")
        #expect(try pixels(folder) == expected)

        let judged = try run("eval --images pictures --json judged.json")
        #expect(judged.code == 0 && judged.output.hasPrefix("judged: 4 images of pictures/samples.npy, drawn with checkpoint run, "), "\(judged)")
        #expect(judged.output.contains("note: 8 of 10 classes have no image to judge\n"))
        let figures = try JSON.parse(Files.read(folder.file("judged.json")))
        #expect(figures["judged"]?.string?.hasPrefix("4 images of pictures/samples.npy") == true && figures["notes"]?.array?.count == 1)
        let fewer = try run("sample --checkpoint run --labels 3 --per-label 1 --output pictures")
        #expect(fewer.code == 0 && fewer.output.contains("\n6 files of the sampling before removed\n"), "\(fewer)")
        let anew = try run("eval --images pictures")
        #expect(anew.code == 0 && anew.output.hasPrefix("judged: 1 picture in pictures, drawn with checkpoint run, "), "\(anew)")

        try expectError(Self.sample + " --spec-gamma 1", says: "--speculative")
        try expectError(Self.sample + " --speculative --spec-gamma nan", says: "spec-gamma nan")
        try expectError(Self.sample + " --speculative --spec-threshold=-1", says: "spec-threshold -1")
        try expectError(Self.sample + " --speculative --spec-iterations 0", says: "spec-iterations 0")
        try expectError(Self.sample + " --speculative --spec-iterations 9223372036854775807", says: "spec-iterations")
        try expectError(Self.sample + " --speculative --spec-shift 16", says: "spec-shift 16")
        try expectError(Self.sample + " --label-cache run/config.json", says: "run/config.json")
        try expectError(Self.sample + " --label-cache run", says: "run")
        try expectError(Self.sample + " --label-cache /proc/labels --report early.json", says: "/proc/labels")
        try expectError(Self.sample + " --label-cache labels.safetensors --weights model", says: "other weights")
        try expectError(Self.sample + " --report missing/report.json", says: "missing/report.json")
    }
}
