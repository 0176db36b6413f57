import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// `import`, `export` and `inspect` from the outside.
@Suite(.serialized) struct WeightCommandTests {
    @Test("weights that went out and came back draw the same pictures, bit for bit")
    func roundTrip() throws {
        let folder = try TestFolder()
        #expect(try folder.run("train --steps 3 --output run " + Program.tiny).code == 0)
        let exported = try folder.run("export --checkpoint run --output weights.safetensors")
        #expect(exported.code == 0 && exported.output == "wrote weights.safetensors\n", "\(exported.errors)")
        let imported = try folder.run("import weights.safetensors --output back")
        #expect(imported.code == 0, "\(imported.errors)")
        let saved = try SavedModel(folder.file("run"))
        #expect(try SavedModel(folder.file("back")).configuration == saved.configuration)
        #expect(try SafeTensors.read(folder.file("back/ema.safetensors")).tensors == saved.file.tensors())
        for name in ["run", "back", "weights.safetensors"] {
            let sampled = try folder.run("sample --checkpoint \(name) --per-label 2 --format npy --output s-\(name)")
            #expect(sampled.code == 0, "\(sampled.errors)")
        }
        let samples = try Files.read(folder.file("s-run/samples.npy"))
        #expect(try samples == Files.read(folder.file("s-back/samples.npy")))
        #expect(try samples == Files.read(folder.file("s-weights.safetensors/samples.npy")))

        #expect(try folder.run("export --checkpoint run --weights model --dtype bf16 --output b.safetensors").code == 0)
        let rounded = try SafeTensorsFile(folder.file("b.safetensors"))
        let model = try SavedModel(folder.file("run"), weights: "model").file
        #expect(rounded.entries.values.allSatisfy { $0.type == .bf16 } && rounded.names == model.names)
        let (a, b) = (try rounded.floats("z_proj.weight"), try model.floats("z_proj.weight"))
        #expect(zip(a, b).allSatisfy { ($0 - $1).magnitude <= $1.magnitude / 256 } && a != b)
        let run = try folder.run("inspect run")
        #expect(run.code == 0 && run.output.contains("state.safetensors") && run.output.contains("moment1: encoder"), "\(run.errors)")
    }

    @Test("a PyTorch checkpoint becomes a model that draws")
    func importsPyTorch() throws {
        let folder = try TestFolder()
        let imported = try folder.run("import \(PyTorchFixtures.path("drift_ar.pth")) --output model")
        #expect(imported.code == 0 && imported.output.contains("drift-ar ema (model_ema): 108 tensors fit"), "\(imported.errors)")
        let sampled = try folder.run("sample --checkpoint model --per-label 1 --output pictures")
        #expect(sampled.code == 0 && sampled.output.contains("3 images"), "\(sampled.errors)")
        let shown = try folder.run("inspect --json model")
        let json = try JSON.parse(Array(shown.output.utf8))
        let files = try #require(json["files"]?.array)
        #expect(files.count == 2 && files[0]["total"]?["tensors"]?.integer == 108)
        #expect(files[0]["parts"]?.array?.compactMap { $0["name"]?.string } == ["encoder", "draft", "decoder", "projections", "features"])
    }

    @Test("errors are one line, with exit code 1, and leave nothing behind")
    func errors() throws {
        let folder = try TestFolder()
        try folder.write("text", to: "text.pth")
        try folder.write([0x50, 0x4B, 0x03, 0x04], to: "cut.pth")
        for (line, part) in [
            ("import missing.pth -o x", "missing.pth"), ("import text.pth -o x", "text.pth"), ("import cut.pth -o x", "cut off"),
            ("import \(PyTorchFixtures.path("malicious.pth")) -o x", "posix.system"),
            ("import \(PyTorchFixtures.path("transdiff.pth")) --kind drift-ar -o x", "--allow-missing"),
            ("import \(PyTorchFixtures.path("drift_ar.pth")) --key ema -o x", "model, model_ema"),
            ("import \(PyTorchFixtures.path("kl16.ckpt")) -o x", "ends in .safetensors"),
            ("import \(PyTorchFixtures.path("drift_ar.pth")) -o /proc/none", "/proc/none"),
            ("export --checkpoint missing -o x.safetensors", "missing"), ("inspect missing", "missing"), ("inspect .", "cut.pth"), ("inspect /proc/self/task", "no file of weights"),
            ("inspect text.pth", "text.pth"), ("sample --checkpoint \(PyTorchFixtures.path("expected.safetensors"))", "driftgpu import"),
        ] {
            let (code, _, errors) = try folder.run(line)
            let isOneLine = errors.hasPrefix("error: ") && errors.filter { $0 == "\n" }.count == 1
            #expect(code == 1 && isOneLine && errors.contains(part), "\(line): \(String(describing: code)) \(errors)")
        }
        for line in ["import", "import a", "import a -o x --kind gan", "export -o x", "export --checkpoint a -o x --dtype f8", "inspect"] {
            #expect(try folder.run(line).code == 64, "\(line)")
        }
        #expect(try Files.names(in: folder.path).filter { $0.hasPrefix("x") }.isEmpty)
    }
}
