import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite(.serialized) struct CommandLineTests {
    @Test("train, sample, eval, resume a finished run")
    func wholeRun() throws {
        let folder = try TestFolder()
        let trained = try folder.run("train --steps 4 --output run " + Program.tiny)
        #expect(trained.code == 0 && trained.output.contains("done: run/samples"), "\(trained.errors)")
        #expect(Files.exists(folder.file("run/samples/step-00000004.png")))
        let again = try folder.run("train --resume --output run")
        #expect(again.code == 0 && again.output.contains("finished at step 4"), "\(again.errors)")
        let further = try folder.run("train --resume --steps 5 --output run")
        #expect(further.code == 0, "\(further.errors)")
        #expect(try RunFolder(folder.file("run")).checkpoints.steps() == [4, 5])

        let sampled = try folder.run("sample --checkpoint run --labels 1,3-4 --per-label 2 --format npy --output pictures")
        #expect(sampled.code == 0, "\(sampled.errors)")
        #expect(try Files.names(in: folder.file("pictures")).filter { $0.hasSuffix(".png") }.count == 7)
        #expect(try NPY.read(folder.file("pictures/samples.npy")).shape == [6, 1, 8, 8])
        let judged = try folder.run("eval --checkpoint run --per-label 3")
        #expect(judged.code == 0 && judged.output.contains("accuracy"), "\(judged.errors)")
        let inFeatures = try folder.run("eval --checkpoint run --per-label 3 --features phi --json figures.json")
        #expect(inFeatures.code == 0 && inFeatures.output.contains("Frechet distance"), "\(inFeatures.errors)")
        let figures = try JSON.parse(Files.read(folder.file("figures.json")))
        #expect(figures["features"]?.string == "phi" && figures["generated"]?["precision"]?.double != nil)
        // Saved samples are judged like those of a model: arrays first, else the pictures.
        for name in ["pictures", "pictures/samples.npy", "pictures"] {
            let saved = try folder.run("eval --images \(name)")
            #expect(saved.code == 0 && saved.output.contains("distance to nearest real image"), "\(saved.errors)")
            if name.hasSuffix(".npy") {
                for array in ["samples", "labels"] { try Files.removeTree(folder.file("pictures/\(array).npy")) }
            }
        }

        try folder.expectError("train --steps 4 --output run " + Program.tiny, says: "holds a run already")
        try folder.expectError("train --resume --output run --embed 32", says: "model.safetensors")
        try folder.expectError("sample --checkpoint run --labels 0-10", says: "0 to 9")
        try folder.expectError("sample", ["--checkpoint", PyTorchFixtures.path("drift_ar.pth")], says: "driftgpu import")
        try folder.expectError("sample --checkpoint run --per-label 0", says: "per-label 0")
        try folder.expectError("sample --checkpoint run --per-label 9223372036854775807", says: "per-label")
        try folder.expectError("sample --checkpoint run --cfg nan", says: "cfg")
        try folder.expectError("sample --checkpoint run --weights best", says: "ema or model")
        try folder.expectError("sample --checkpoint run/config.json", says: "run/config.json")
        try folder.expectError("sample --checkpoint run --output run/config.json", says: "run/config.json")
    }

    @Test("plan and profile")
    func inspect() throws {
        let folder = try TestFolder()
        let plan = try folder.run("train --print-plan " + Program.tiny)
        #expect(plan.code == 0 && plan.output.contains("launches, arena"), "\(plan.errors)")
        #expect(plan.output.contains("arena with --grad-checkpointing ") && plan.output.contains("\nneeds "))
        let profile = try folder.run("train " + Program.tiny, ["--profile", "trace.json"])
        #expect(profile.code == 0 && profile.output.contains("ms/step wall"), "\(profile.errors)")
        let trace = try JSONSerialization.jsonObject(with: Data(Files.read(folder.file("trace.json"))))
        let events = (trace as? [String: Any])?["traceEvents"] as? [[String: Any]] ?? trace as? [[String: Any]]
        #expect(events.map { !$0.isEmpty } == true)
        #expect(!Files.exists(folder.file("out")))
    }

    @Test("epochs, blr, parts of a step, evaluations and weights to start from")
    func trainingOptions() throws {
        let folder = try TestFolder()
        // 1442 images, 15 of them a step and part: 96.1 steps an epoch, 48.1 in two parts.
        let line = "train --output run --epochs 0.05 --warmup-epochs 0.03 --accumulate 2 --blr 0.256 --grad-checkpointing"
            + " --online-eval 2 --online-eval-images 2 --eval-weights model " + Program.tiny
        let trained = try folder.run(line)
        #expect(trained.code == 0 && trained.output.contains("\nneeds "), "\(trained.errors)")
        let configuration = try RunFolder(folder.file("run")).configuration()
        #expect(configuration.run.steps == 3 && configuration.optimizer.warmupSteps == 2)
        // 9 images, twice.
        #expect(abs(configuration.optimizer.learningRate - 0.018) < 1e-12)
        #expect(configuration.run.gradCheckpointing && configuration.run.evalWeights == .model)
        #expect(trained.errors.contains("accuracy"))
        #expect(try folder.text("run/metrics.jsonl").contains("\"accuracy\""))

        let second = try folder.run("train --init run --steps 2 --output second --embed 24 " + Program.tiny.replacingOccurrences(of: "--embed 16", with: ""))
        #expect(second.code == 0 && second.output.contains("of another shape there, so new: "), "\(second.errors)")
        let file = "run/checkpoints/step-00000003/model.safetensors"
        let third = try folder.run("train --init \(file) --steps 2 --output third " + Program.tiny)
        #expect(third.code == 0 && third.output.contains("parameters taken"), "\(third.errors)")
        try folder.expectError("train --init missing --output fourth", says: "missing")
        try folder.expectError("train --init run/config.json --output fourth", says: "run/config.json")
        try folder.expectError("train --epochs nan", says: "nan epochs")
        try folder.expectError("train --epochs 0", says: "steps 0")
        try folder.expectError("train --accumulate 0", says: "accumulate 0")
        try folder.expectError("train --online-eval=-1", says: "online-eval -1")
        #expect(!Files.exists(folder.file("fourth")))
    }

    @Test("errors a user can cause are one line, with exit code 1")
    func errors() throws {
        let folder = try TestFolder()
        try folder.write(#"{"embde": 64}"#, to: "unknown.json")
        try folder.write(#"{"embed": "wide"}"#, to: "kind.json")
        try folder.write("embed: 64", to: "text.json")
        try folder.write("", to: "file")
        let cases: [(String, String)] = [
            ("train --preset imagenet", "imagenet"), ("train --config missing.json", "missing.json"),
            ("train --config unknown.json", "embde"), ("train --config kind.json", "embed"),
            ("train --config text.json", "not a JSON object"), ("train --output file/run", "file"),
            ("train --output /proc/none", "/proc/none"), ("train --device 99", "--device 99"),
            ("train --device warp", "--device warp"), ("train --gemm magma", "--gemm magma"),
            ("train --embed 1000000000", "embed 1000000000"), ("train --steps=-1", "steps -1"), ("train --lr nan", "lr nan"),
            ("train --samples-per-label 9223372036854775807", "samples-per-label"),
            ("train --positives 1000000 --samples-per-label 1000000", "choose smaller sizes"),
            ("train --patch 0", "patch 0"), ("train --radii 0.1,nan", "radii"), ("train --radii 1,x", "'x' is no number"),
            ("train --batch 15", "multiple of the 10 labels"), ("train --batch=-10", "--batch -10"), ("train --classes 11", "only 10 classes"),
            ("sample --checkpoint missing", "missing"), ("sample --checkpoint file", "file"),
            ("sample --checkpoint .", "."), ("eval --checkpoint missing", "missing"),
            ("eval --images missing", "missing"), ("eval --images file", "file"), ("eval --images .", "neither samples.npy"),
            ("eval --images . --classifier file", "file"), ("eval --images . --inception none --stats file", "file"),
            ("eval --fit-classifier --data missing", "missing"), ("eval --fit-classifier --steps 0", "0 steps"),
        ]
        for (line, part) in cases { try folder.expectError(line, says: part) }
        try folder.expectError("train --preset", ["two\nlines"], says: "two?lines")
        #expect(!Files.exists(folder.file("out/digits/checkpoints")))
        // A folder without drivers.
        try folder.expectError("devices", says: "no OpenCL platform", environment: ["OCL_ICD_VENDORS": folder.path])
        try folder.expectError("train", says: "no OpenCL platform", environment: ["OCL_ICD_VENDORS": folder.path])
        try folder.expectError("train", says: "DRIFTGPU_TEAM", environment: ["DRIFTGPU_TEAM": "both"])
    }

    @Test("the self test passes here, and fails over a kernel that computes something else")
    func selftest() throws {
        let folder = try TestFolder()
        let listed = try folder.run("selftest --list")
        #expect(listed.code == 0 && listed.output.contains("operation/add\n"), "\(listed.errors)")
        let right = try folder.run("selftest --filter operation/add/")
        #expect(right.code == 0 && right.output.contains("all 4 cases passed"), "\(right.output) \(right.errors)")
        let kernels = try copyOfKernels(in: folder)
        try folder.write(folder.text("kernels/elementwise/add.cl").replacingOccurrences(of: ") + lanes", with: ") - lanes"), to: "kernels/elementwise/add.cl")
        let wrong = try folder.run("selftest --filter operation/add/", environment: ["DRIFTGPU_KERNELS": kernels])
        #expect(wrong.code == 1 && wrong.output.contains("4 of 4 cases FAILED") && wrong.output.contains("expected"), "\(wrong.output)")
        try folder.expectError("selftest --filter nothing", says: "--filter nothing")
        let none = ["DRIFTGPU_GOLDEN": folder.file("none")]
        try folder.expectError("selftest", says: "--filter operation", environment: none)
        #expect(try folder.run("selftest --filter operation/add/", environment: none).code == 0)
    }

    @Test("stored parameters that do not fit are ignored with a warning")
    func brokenTuning() throws {
        let folder = try TestFolder()
        let cache = ["DRIFTGPU_CACHE": folder.path]
        try Files.makeFolder(folder.file("tuning"))
        let about = try DeviceDescription.choose("cpu")
        let name = Files.name(of: Tuning.path(of: about, in: folder.path))
        let line = "selftest --device cpu --gemm clblast --filter"
        let (device, driver) = (JSON.string(about.name).text, JSON.string(about.driver).text)
        for text in [
            "{", #"{"format": 2}"#, #"{"format": 1, "device": "other", "driver": "1", "kernels": {}}"#,
            #"{"format": 1, "device": \#(device), "driver": \#(driver), "kernels": {"XgemmDirect": {"WGD": 0}}}"#,
        ] {
            try folder.write(text, to: "tuning/" + name)
            let (code, output, errors) = try folder.run(line, ["matrix_multiply/1 x 1 x 1"], environment: cache)
            #expect(code == 0 && output.contains("passed"), "\(text): \(output) \(errors)")
            #expect(errors.contains("ignored") && errors.filter { $0 == "\n" }.count == 1, "\(text): \(errors)")
        }
        try folder.expectError("tune --seconds 0", says: "--seconds 0")
        let blocked = try folder.write("", to: "file") + "/cache"
        try folder.expectError("tune --seconds 100", says: blocked, environment: ["DRIFTGPU_CACHE": blocked])
        try folder.expectError("tune --gemm native --seconds 1", says: "CLBlast")
    }

    /// The path of a copy of the kernels that a test may change.
    private func copyOfKernels(in folder: TestFolder) throws -> String {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/Kernels")
        let copy = URL(fileURLWithPath: folder.file("kernels"))
        try FileManager.default.copyItem(at: sources, to: copy)
        return copy.path
    }

    @Test("a kernel that does not build is named with the compiler's words")
    func failedBuild() throws {
        let folder = try TestFolder()
        let kernels = try copyOfKernels(in: folder)
        try folder.write("__kernel void broken(__global float *x) { x[0] = undeclared; }\n", to: "kernels/elementwise/add.cl")
        let (code, _, errors) = try folder.run(
            "train --output run " + Program.tiny, environment: ["DRIFTGPU_KERNELS": kernels])
        #expect(code == 1 && errors.contains("add.cl does not build on") && errors.contains("'undeclared'"), "\(errors)")
    }

    @Test(
        "wrong usage has exit code 64",
        arguments: [
            "train --embde 3", "train --embed wide", "train --embed 1e9", "train --steps 99999999999999999999",
            "train --resume --overwrite", "train --resume --auto-resume", "train --drift-groups labels", "train --seed -1", "train --seed=-1", "sample",
            "eval", "eval --images x --features phi", "eval --images x --features classifier", "eval --images x --stats y",
            "eval --checkpoint x --features pixels --classifier y", "eval --fit-classifier --images x", "paint", "sample --checkpoint x --format bmp",
            "train --lr 1 --blr 1", "train --epochs 1 --steps 1",
            "train --warmup-epochs 1 --warmup-steps 1", "train --eval-weights best", "train --draft-init copy",
        ])
    func usage(_ line: String) throws {
        let folder = try TestFolder()
        let (code, _, errors) = try folder.run(line)
        #expect(code == 64 && errors.hasPrefix("error: ") && errors.filter { $0 == "\n" }.count == 1, "\(errors)")
        #expect(errors.contains("; see driftgpu help"), "\(errors)")
    }

    @Test("a bad number is named with what is allowed")
    func badNumbers() throws {
        let folder = try TestFolder()
        let seed = "a whole number from 0 to 18446744073709551615"
        for (line, part) in [
            ("train --seed -1", "'-1' is invalid for '--seed <seed>': take \(seed); see driftgpu help train"),
            ("import x -o y --kind foo", "of the following: auto, drift-ar, "),
            ("sample --checkpoint x --order size", "'size' is invalid for '--order <order>'"),
            ("sample --checkpoint x --seed -1", seed), ("train --embed 1e9", "'1e9' is invalid for '--embed <n>': take a whole number"),
            ("train --lr fast", "'fast' is invalid for '--lr <x>': take a number"), ("eval --checkpoint x --per-label 2.5", "take a whole number"),
            ("train --rope 3", "take true or false"),
        ] {
            let (code, _, errors) = try folder.run(line)
            #expect(code == 64 && errors.contains(part) && errors.filter { $0 == "\n" }.count == 1, "\(line): \(errors)")
        }
        try folder.expectError("train --steps -1", says: "steps -1: take 1 or more")
    }

    @Test("output that cannot be written is an error; a reader that leaves is not")
    func fullDevice() throws {
        let folder = try TestFolder()
        for line in ["devices", "selftest --list", "--help", "help train", "train --print-plan --steps 2 " + Program.tiny] {
            let full = try folder.shell("\"$driftgpu\" \(line) > /dev/full")
            #expect(full.code == 1 && full.errors.contains("No space left"), "\(line): \(full.errors)")
            #expect(full.errors.filter { $0 == "\n" }.count == 1, "\(line): \(full.errors)")
        }
        let left = try folder.shell("(\"$driftgpu\" selftest --list; echo $? > code) | head -1")
        #expect(left.errors.isEmpty && left.output.filter { $0 == "\n" }.count == 1, "\(left.errors)")
        // Ended by the signal, or by the error where the signal is ignored.
        let ignored = try folder.shell("trap '' PIPE; (\"$driftgpu\" selftest --list; echo $? > code) | head -1")
        #expect(try ignored.errors.isEmpty && ["0\n", "141\n"].contains(folder.text("code")), "\(ignored.errors)")
    }

    @Test("a driver finds a cache where neither home nor its own folder can be written")
    func driverCache() throws {
        let folder = try TestFolder()
        let none = try folder.write("", to: "file") + "/home"
        for environment in [["HOME": none, "XDG_CACHE_HOME": "", "POCL_CACHE_DIR": none], ["POCL_CACHE_DIR": none, "DRIFTGPU_CACHE": folder.file("own")]] {
            let result = try folder.run(
                "selftest --device cpu --filter operation/add/", environment: environment.merging(["TMPDIR": folder.path]) { $1 })
            #expect(result.code == 0 && result.output.contains("passed"), "\(result.errors)")
            let cache = environment["DRIFTGPU_CACHE"] ?? folder.path
            #expect(result.errors.contains(none) && result.errors.contains(" in \(cache)"), "\(result.errors)")
            #expect(result.errors.filter { $0 == "\n" }.count == 1, "\(result.errors)")
        }
    }

    @Test("the digits' classes are named as what they are")
    func builtInData() throws {
        let folder = try TestFolder()
        try folder.expectError("train --classes 5", says: "error: the digits the program carries: 10 classes, the model has 5")
        try folder.write(#"{"steps": 2.5}"#, to: "fraction.json")
        try folder.expectError("train --config fraction.json", says: "fraction.json: steps 2.5: take a whole number")
        try folder.expectError("train --resume --output typo", says: "typo: nothing to resume")
        #expect(!Files.exists(folder.file("typo")))
    }

    @Test("a run killed while it saves goes on from a whole checkpoint")
    func killed() throws {
        let folder = try TestFolder()
        let checkpoints = RunFolder(folder.file("run")).checkpoints
        var random = TestNumbers(11)
        var last = 0
        for round in 0..<6 {
            let program = try Program(
                "train --auto-resume --steps 1000000 --output run \(Program.tiny) --checkpoint-every 1", in: folder)
            #expect(try program.wait { (try? checkpoints.latest()).flatMap { $0 } ?? 0 > last })
            Thread.sleep(forTimeInterval: 0.0005 * Double(random.below(60)))
            kill(program.process.processIdentifier, SIGKILL)
            #expect(try program.finish().code == nil)
            let step = try #require(try checkpoints.latest())
            #expect(step > last, "round \(round)")
            _ = try checkpoints.open(step: step)
            last = step
        }
        let end = try folder.run("train --resume --steps \(last + 2) --output run")
        #expect(end.code == 0, "\(end.errors)")
        #expect(try checkpoints.latest() == last + 2)
        #expect(try Files.names(in: checkpoints.path).allSatisfy { $0.hasPrefix("step-") })
        let steps = try folder.text("run/metrics.jsonl").split(separator: "\n").map {
            try JSON.parse(Array($0.utf8))["step"]?.integer
        }
        #expect(steps == Array(1...(last + 2)))
    }

    @Test("a damaged checkpoint is named, with what to do")
    func damaged() throws {
        let folder = try TestFolder()
        let trained = try folder.run("train --steps 2 --output run \(Program.tiny) --checkpoint-every 1")
        #expect(trained.code == 0, "\(trained.errors)")
        let name = "run/checkpoints/step-00000002/ema.safetensors"
        let bytes = try Files.read(folder.file(name))
        try folder.write(Array(bytes.dropLast(9)), to: name)
        try folder.expectError("train --resume --steps 3 --output run", says: name)
        try folder.expectError("train --resume --steps 3 --output run", says: "step-00000001")
        try folder.expectError("sample --checkpoint run", says: name)
        try Files.removeTree(folder.file("run/checkpoints/step-00000002"))
        #expect(try folder.run("train --resume --steps 3 --output run").code == 0)
    }

    @Test("a run that a small device cannot hold is refused in one line, before anything is built")
    func memoryLimit() throws {
        let folder = try TestFolder()
        // PoCL takes gigabytes.
        let result = try folder.run("train --samples-per-label 640 --output run", environment: ["POCL_MEMORY_LIMIT": "1"])
        #expect(result.code == 1 && result.errors.hasPrefix("error: the run needs "), "\(result)")
        #expect(result.errors.contains("--samples-per-label") || result.errors.contains("--batch"), "\(result.errors)")
        #expect(result.errors.filter { $0 == "\n" }.count == 1 && !Files.exists(folder.file("run")))
    }
}
