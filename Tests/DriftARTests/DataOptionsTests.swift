import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// `driftgpu train --data` and `driftgpu eval --data`.
@Suite(.serialized) struct DataOptionsTests {
    @Test("a folder of pictures: train, resume, evaluate, move")
    func folder() throws {
        let folder = try TestFolder()
        try ImageFixtures.writeFolder(folder.file("pictures/train"), classes: ["a", "b", "c", "d"], perClass: 6)
        try ImageFixtures.writeFolder(folder.file("pictures/val"), classes: ["a", "b", "c", "d"], perClass: 3)
        try folder.write("broken", to: "pictures/train/c/3.png")
        let train = "train --data pictures --size 8 --resident never --flip --steps 4 --output run " + Program.tiny
        let first = try folder.run(train)
        #expect(first.code == 0 && first.errors.contains("pictures/train/c/3.png: neither PNG, JPEG, WebP nor BMP"), "\(first.errors)")
        #expect(first.output.contains("3 channels, as ") && first.output.contains("classes: 0 = a, 1 = b, 2 = c, 3 = d\n"))
        // A batch is divided among the classes that the data have, not those of the preset.
        #expect(try folder.run("train --data pictures --size 8 --batch 8 --print-plan").code == 0)
        try folder.expectError("train --data pictures --size 8 --batch 10 --output none", says: "multiple of the 4 labels")
        let configuration = try RunFolder(folder.file("run")).configuration()
        #expect(configuration.data.path.hasSuffix("/pictures") && configuration.data.path.hasPrefix("/"))
        #expect(configuration.data.form == .folder && configuration.data.flip && configuration.data.resident == .never)
        #expect((configuration.data.classes, configuration.data.channels, configuration.data.height, configuration.data.width) == (4, 3, 8, 8))
        #expect(configuration.data.classNames == ["a", "b", "c", "d"])
        let sampled = try folder.run("sample --checkpoint run --labels d,0 --per-label 1")
        #expect(sampled.code == 0 && sampled.output.contains("classes: 3 = d, 0 = a"), "\(sampled.errors)")
        try folder.expectError("sample --checkpoint run --labels e", says: "'e' is no label or range and no class")
        let resumed = try folder.run("train --resume --steps 6 --output run")
        #expect(resumed.code == 0, "\(resumed.errors)")
        let judged = try folder.run("eval --checkpoint run --per-label 3")
        #expect(judged.code == 0 && judged.output.contains("class accuracy"), "\(judged.errors)")
        try FileManager.default.moveItem(atPath: folder.file("pictures"), toPath: folder.file("moved"))
        try folder.expectError("train --resume --steps 8 --output run", says: "/pictures: no such file or folder")
        let moved = try folder.run("train --resume --steps 8 --output run --data moved")
        #expect(moved.code == 0, "\(moved.errors)")
    }

    @Test("an IDX file decides size and classes; a run does not go on with other data")
    func idx() throws {
        let folder = try TestFolder()
        var random = TestNumbers(1)
        let pixels = (0..<30 * 36).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        try folder.write(ImageFixtures.idx([30, 6, 6], pixels), to: "train-images-idx3-ubyte")
        try folder.write(ImageFixtures.idx([30], (0..<30).map { UInt8($0 % 3) }), to: "train-labels-idx1-ubyte")
        let trained = try folder.run("train --data . --steps 2 --output run " + Program.tiny)
        #expect(trained.code == 0, "\(trained.errors)")
        let configuration = try RunFolder(folder.file("run")).configuration()
        #expect((configuration.data.classes, configuration.data.height, configuration.data.width) == (3, 6, 6) && configuration.data.form == .idx)
        try ImageFixtures.writeFolder(folder.file("other"), classes: ["a", "b", "c"], perClass: 6)
        try folder.expectError("train --resume --steps 4 --output run --data other", says: "form folder, the run was trained on idx")
        try folder.expectError("train --data . --patch 4 --output new", says: "patch 4: must divide 6x6")
        try folder.expectError("train --data . --classes 2 --output new", says: "3 classes, the model has 2")
    }

    @Test("errors are one line")
    func errors() throws {
        let folder = try TestFolder()
        try ImageFixtures.writeFolder(folder.file("pictures"), classes: ["a", "b"], perClass: 6)
        let cases = [
            ("train --preset mnist", "preset mnist: the program does not carry its data; name its images with --data PATH"),
            ("train --preset imagenet-base", "folder of latents"), ("train --data nothing", "nothing: no such file"),
            ("train --data pictures", "--size"), ("train --crop random", "cannot be cropped"), ("train --hold-out 1", "held out"),
            ("train --data pictures --size 8 --channels 5", "1 or 3 channels"),
            ("train --data pictures --size 8 --crop random --resident always", "resident always"),
            ("train --data pictures --size 8 --hold-out 1", "held out"),
        ]
        for (line, text) in cases { try folder.expectError(line, says: text) }
    }
}
